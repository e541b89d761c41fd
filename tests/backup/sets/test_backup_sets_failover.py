"""Restores across a real failover: each timeline gives back what its own server was told to be committed, and no more."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from taking_kit import Settings, World, settings_in, where_is, world_of

from dbre.capabilities.backup.catalog.clock import list_samples
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.request import Asked, plan_asked
from dbre.capabilities.backup.restoring.scratch import scratch_moment
from dbre.core.clock import SystemClock
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.errors import TargetNotReached
from dbre.ports.backup.model import RecoveryTarget, TargetKind
from dbre.testing.fixtures import PostgresPair

LATEST = RecoveryTarget(kind=TargetKind.LATEST)


@dataclass
class Ledger:
    """What a client was told to be committed: number, and the clock before and after."""

    rows: list[tuple[int, datetime, datetime]] = field(default_factory=list)

    async def write(self, server: PostgresServer, numbers: range) -> datetime:
        """Commit rows one by one; the moment after the last."""
        async with await server.connect() as connection:
            for number in numbers:
                before = SystemClock().now()
                await connection.execute("INSERT INTO ledger VALUES (%s)", [number])
                self.rows.append((number, before, SystemClock().now()))
                await asyncio.sleep(0.01)
        return self.rows[-1][2]

    def at(self, moment: datetime, *, among: range) -> tuple[set[int], set[int]]:
        """Rows that must be there, and those that may be."""
        mine = [one for one in self.rows if one[0] in among]
        return {one[0] for one in mine if one[2] <= moment}, {one[0] for one in mine if one[1] <= moment}


async def until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + 90
    while not await check():
        assert asyncio.get_running_loop().time() < deadline, f"not within 90 s: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture
def settings(postgres_pair: PostgresPair, lab_site: Site) -> Iterator[Settings]:
    directory = Path(tempfile.mkdtemp(prefix="failover-", dir=lab_site.directory))
    directory.chmod(0o711)
    made = settings_in(
        directory, lab_site.cache, where_is(postgres_pair.primary), vaults=["near"], log={"mode": "stream", "seal_after": "2s"}
    )
    yield replace(made, replica=where_is(postgres_pair.replica))
    shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def keeping(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(LogKeeper(world.ground).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sampled(world: World, timeline: int, since: datetime) -> bool:
    async with world.store.read() as connection:
        return any(one.timeline == timeline for one in await list_samples(connection, "orders", since=since))


async def plan_of(world: World, target: RecoveryTarget, *, accept_loss: bool = False) -> RestorePlan:
    return await plan_asked(world.ground, Asked(cluster="orders", target=target, accept_loss=accept_loss), world.clock)


async def rows_of(world: World, plan: RestorePlan) -> set[int]:
    async with scratch_moment(world.ground, plan) as found:
        access = found.server.access
        async with await psycopg.AsyncConnection.connect(
            host=access.address.host, port=access.address.port, user=access.user, dbname="postgres", autocommit=True
        ) as connection:
            return {row[0] for row in await (await connection.execute("SELECT id FROM ledger")).fetchall()}


def at_time(moment: datetime, timeline: int | None = None) -> RecoveryTarget:
    return RecoveryTarget(kind=TargetKind.TIME, at=moment, timeline=timeline)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_each_timeline_gives_back_its_own_rows(postgres_pair: PostgresPair, settings: Settings) -> None:
    old, new, ledger = postgres_pair.primary, postgres_pair.replica, Ledger()
    both, tail, later, unseen = range(1, 100), range(1000, 1100), range(2000, 2100), range(3000, 3100)
    async with world_of(settings) as world:
        async with await old.connect() as connection:
            await connection.execute("CREATE TABLE ledger (id bigint PRIMARY KEY)")
        async with keeping(world):
            taken = await world.run("backup.take", cluster="orders")
            assert taken.state == "succeeded", taken.error
            before = await ledger.write(old, both[:30])
            await ledger.write(old, both[30:35])
            await until(lambda: has(new, 35), "the replica has all of it")
            async with await new.connect() as connection:
                await connection.execute("SELECT pg_promote()")
            lost = await ledger.write(old, tail[:10])
            await until(lambda: sampled(world, 1, lost), "the clock has seen the tail")
        hidden = await ledger.write(old, unseen[:10])
        await old.stop()
        async with keeping(world):
            await until(lambda: sampled(world, 2, hidden), "the new primary is followed")
            after = await ledger.write(new, later[:20])
            await ledger.write(new, later[20:25])

            async def reaches() -> bool:
                try:
                    found = await plan_of(world, at_time(after))
                except NoSetForTarget:  # the clock was read on the new timeline before its history file came in
                    return False
                return [one.rule for one in found.problems] == ["backup.tail_left_behind"]

            await until(reaches, "the log of the new primary is there")
        shown = await plan_of(world, at_time(before))
        must, may = ledger.at(before, among=both)
        assert must <= await rows_of(world, shown) <= may

        shown = await plan_of(world, at_time(after))
        assert [one.rule for one in shown.problems] == ["backup.tail_left_behind"]
        assert "timeline 1 went on after the service had left it" in shown.problems[0].message
        must, may = ledger.at(after, among=later)
        rows = await rows_of(world, shown)
        assert set(both[:35]) | must <= rows <= set(both[:35]) | may, "what only the old primary had is not on timeline 2"

        shown = await plan_of(world, replace(LATEST, timeline=1))
        rows = await rows_of(world, shown)
        assert rows >= set(both[:35]) | set(tail[:5]), "what was received of the old primary's own is still had"
        assert not rows & (set(later) | set(unseen))

        shown = await plan_of(world, at_time(hidden))
        assert shown.timeline == 1, "the service was last seen there"
        assert [one.rule for one in shown.problems] == ["backup.other_branch", "backup.reach_unknown"]
        with pytest.raises(TargetNotReached, match="was not found in it"):
            await rows_of(world, shown)


async def has(server: PostgresServer, count: int) -> bool:
    with suppress(psycopg.Error):
        async with await server.connect() as connection:
            row = await (await connection.execute("SELECT count(*) FROM ledger")).fetchone()
            return row == (count,)
    return False
