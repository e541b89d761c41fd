"""A promotion that was asked for and is not seen: the old primary is not brought back, for then there would be two."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from failover_kit import Shop, fleet_with_control
from ha_live import until as until_seen
from switchover_kit import Walker, controlled, entries, ground_of, steps_of, until, write

from dbre.capabilities.ha.failover.draining import drain
from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def startup_of(server: PostgresServer) -> int:
    """The process that replays, and that a promotion waits for."""
    return next(one.pid for one in server.processes() if b"startup" in Path(f"/proc/{one.pid}/cmdline").read_bytes())


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class After:
    """Does something after a commit of the journal."""

    def __init__(self, name: str, pid: int) -> None:
        self._name = name
        self._pid = pid

    async def before(self, _: str) -> None: ...

    async def after(self, name: str) -> None:
        if name == self._name:
            os.kill(self._pid, signal.SIGSTOP)


async def is_alone(old: PostgresServer, new: PostgresServer) -> None:
    """The promotion comes about after all, and nobody else takes writes."""

    async def is_promoted() -> bool:
        return await new.role() is Role.PRIMARY

    await until(is_promoted)
    assert not old.is_running


async def test_a_switchover_asks_a_person(postgres_pair: PostgresPair, store: Store) -> None:
    old, new = postgres_pair.primary, postgres_pair.replica
    fleet = controlled("postgresql", {"n1": old, "n2": new})
    walker = Walker(store=store, ground=ground_of(fleet, limits={"promote": "1s"}))
    switching = await walker.submit(to="n2")
    await write(old, "last")
    replayer = startup_of(new)
    try:
        record = await walker.run(switching, hooks=After("do 2 done", replayer))
    finally:
        os.kill(replayer, signal.SIGCONT)
    assert record.state is OperationState.NEEDS_OPERATOR, record.error
    assert record.error is not None
    assert "may do so yet" in record.error["message"]
    assert steps_of(record) == ["prepare", "give-up", "catch-up"]
    await is_alone(old, new)
    assert await entries(new) == ["last"]


async def test_a_failover_asks_a_person(postgres_pair: PostgresPair, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.capabilities.ha.failover.operation.PROMOTE_SECONDS", 2.0)
    old, new = postgres_pair.primary, postgres_pair.replica
    shop = Shop(fleet=fleet_with_control("postgresql", {"n1": old, "n2": new}), store=store)
    async with shop.observed():
        await write(old, "last")
        await shop.until_healthy()
        await old.kill()
        await shop.until_dead()
        with frozen(startup_of(new)):
            record = await shop.fail_over()
    assert record.state is OperationState.NEEDS_OPERATOR, record.error
    assert record.error is not None
    assert "may do so yet" in record.error["message"]
    await is_alone(old, new)


@pytest.mark.soak
async def test_who_was_started_again_after_the_fence_keeps_its_place(
    postgres_pair: PostgresPair, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the candidate applied the rest, somebody started the old primary: nobody is promoted beside it."""
    old, new = postgres_pair.primary, postgres_pair.replica
    shop = Shop(fleet=fleet_with_control("postgresql", {"n1": old, "n2": new}), store=store)

    async def slowly(*given: object, **more: object) -> object:
        (old.data_directory / "standby.signal").unlink()
        await old.start()
        return await drain(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("dbre.capabilities.ha.failover.operation.drain", slowly)
    async with shop.observed():
        await write(old, "first")
        await shop.until_healthy()
        await old.kill()
        await shop.until_dead()
        record = await shop.fail_over()
    assert record.state is OperationState.COMPENSATED, record.error
    assert record.error is not None
    assert record.error["code"] == "ha.fence_failed"
    assert (await old.role(), await new.role()) == (Role.PRIMARY, Role.REPLICA)


@pytest.mark.soak
async def test_a_candidate_that_dies_does_not_keep_the_old_primary_down(postgres_pair: PostgresPair, store: Store) -> None:
    old, new = postgres_pair.primary, postgres_pair.replica
    fleet = controlled("postgresql", {"n1": old, "n2": new})
    walker = Walker(store=store, ground=ground_of(fleet, limits={"catch_up": "60s"}))
    switching = await walker.submit(to="n2")
    async with await new.connect() as replica:
        await replica.execute("SELECT pg_wal_replay_pause()")
    await write(old, "last")
    walking = asyncio.create_task(walker.run(switching))

    async def is_down() -> bool:
        return not old.is_running

    await until(is_down)
    await new.kill()
    record = await walking
    assert record.state is OperationState.NEEDS_OPERATOR, record.error  # what was kept for followers there is not taken back
    assert steps_of(record, "undo") == ["give-up"]
    assert await old.role() is Role.PRIMARY
    assert await entries(old) == ["last"]


@pytest.mark.soak
async def test_observers_are_waited_for_before_a_watchdog_is_believed(postgres_pair: PostgresPair, store: Store) -> None:
    """A listener that has just begun knows no ages; and silence that lasted long enough is the fence."""
    old, new = postgres_pair.primary, postgres_pair.replica
    shop = Shop(fleet=fleet_with_control("postgresql", {"n1": old, "n2": new}), store=store)
    shop.failover |= {"fence": [{"kind": "self_fence", "after": "1s", "margin": "1s"}]}
    async with shop.observed():
        await write(old, "last")
        await shop.until_healthy()
        await old.kill()
        await shop.until_dead()
        record = await shop.fail_over()
    assert record.state is OperationState.SUCCEEDED, record.error
    fenced = next(one.result for one in record.steps if one.name == "fence")
    assert fenced is not None
    assert "its watchdog has killed it" in fenced["seen"]
    assert await until_seen(new.role, lambda role: role is Role.PRIMARY)
