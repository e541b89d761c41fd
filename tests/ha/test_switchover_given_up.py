"""A planned change of primary that does not come about: the old primary goes on, with everything, whatever was in the way."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from switchover_kit import Walker, controlled, entries, ground_of, roles, steps_of, until, write

from dbre.core.clock import SystemClock
from dbre.core.fleet import Address
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.ports.route import RouteCheck, RoutePauseTimeout, RouteState
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


class Way:
    """A route in memory: what the operation asks of one, and when."""

    name, kind, can_pause = "way", "memory", True

    def __init__(self, address: Address, *, never_idle: bool = False) -> None:
        self.address = address
        self.is_paused = False
        self.seen: list[str] = []
        self._never_idle = never_idle

    async def current(self) -> RouteState:
        return RouteState(addresses=(self.address,), value=str(self.address), is_paused=self.is_paused)

    async def check(self, address: Address) -> list[RouteCheck]:
        return [RouteCheck(name="there", is_ok=True, seen=str(self.address), wanted=str(address))]

    async def pause(self, *, limit_seconds: float) -> None:
        if self._never_idle:
            raise RoutePauseTimeout(f"a transaction is open after {limit_seconds} s")
        self.is_paused = True
        self.seen.append("pause")

    async def resume(self) -> None:
        self.is_paused = False
        self.seen.append("resume")

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        assert before.addresses in ((self.address,), before.addresses)
        self.address = address
        self.seen.append(f"point to {address.port}")

    async def cut(self, address: Address) -> int:
        assert self.address == address
        self.seen.append("cut")
        return 0

    async def verify(self, address: Address) -> list[RouteCheck]:
        return [RouteCheck(name="there", is_ok=self.address == address, seen=str(self.address), wanted=str(address))]

    async def undo(self, address: Address, *, before: RouteState) -> None:  # noqa: ARG002
        raise AssertionError("nothing was turned")


def walker_of(pair: PostgresPair, store: Store, routes: Any = (), **limits: str) -> Walker:
    fleet = controlled("postgresql", {"n1": pair.primary, "n2": pair.replica})
    return Walker(store=store, ground=ground_of(fleet, limits=limits, routes=routes))


async def test_a_candidate_that_cannot_catch_up_is_not_promoted(postgres_pair: PostgresPair, store: Store) -> None:
    way = Way(postgres_pair.primary.address)
    walker = walker_of(postgres_pair, store, (way,), catch_up="500ms")
    operation = await walker.submit(to="n2")
    async with await postgres_pair.replica.connect() as replica:
        await replica.execute("SELECT pg_wal_replay_pause()")
    await write(postgres_pair.primary, "last")

    record = await walker.run(operation)
    assert record.state is OperationState.COMPENSATED, record.error
    assert record.error is not None
    assert "has not replayed" in record.error["message"]
    assert "replay is paused" in record.error["message"]
    assert set(steps_of(record, "undo")) == {"give-up", "pause-routes", "prepare"}
    assert await roles({"n1": postgres_pair.primary, "n2": postgres_pair.replica}) == {"n1": Role.PRIMARY, "n2": Role.REPLICA}
    assert way.seen == ["pause", "resume"]
    assert not (postgres_pair.primary.data_directory / "standby.signal").exists()

    async with await postgres_pair.replica.connect() as replica:
        await replica.execute("SELECT pg_wal_replay_resume()")
    await write(postgres_pair.primary, "more")

    async def is_there() -> bool:
        return await entries(postgres_pair.replica) == ["last", "more"]

    await until(is_there)


async def test_a_primary_that_does_not_stop_is_brought_back(postgres_pair: PostgresPair, store: Store) -> None:
    """A frozen receiver keeps the old primary from ending: it waits until everything was sent."""
    walker = walker_of(postgres_pair, store, give_up="2s")
    operation = await walker.submit(to="n2")
    await write(postgres_pair.primary, "before")
    async with await postgres_pair.replica.connect() as replica:
        row = await (await replica.execute("SELECT pid FROM pg_stat_wal_receiver")).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    try:
        record = await walker.run(operation)
    finally:
        os.kill(row[0], signal.SIGCONT)
    assert record.state is OperationState.COMPENSATED, record.error
    assert record.error is not None
    assert "did not stop in order" in record.error["message"]
    assert await postgres_pair.primary.role() is Role.PRIMARY
    await write(postgres_pair.primary, "after")
    assert await entries(postgres_pair.primary) == ["after", "before"]


async def test_clients_that_do_not_pause_keep_it_from_beginning(postgres_pair: PostgresPair, store: Store) -> None:
    before = postgres_pair.primary.pid
    walker = walker_of(postgres_pair, store, (Way(postgres_pair.primary.address, never_idle=True),))
    record = await walker.switch(to="n2")
    assert record.state is OperationState.COMPENSATED
    assert record.error is not None
    assert record.error["code"] == "route.pause_timeout"
    assert postgres_pair.primary.pid == before
    async with await postgres_pair.replica.connect() as replica:  # nor is any log kept for who will not follow
        assert await (await replica.execute("SELECT slot_name FROM pg_replication_slots")).fetchall() == []


async def test_routes_are_held_turned_and_opened(postgres_pair: PostgresPair, store: Store) -> None:
    way = Way(postgres_pair.primary.address)
    record = await walker_of(postgres_pair, store, (way,)).switch(to="n2")
    assert record.state is OperationState.SUCCEEDED, record.error
    assert way.seen == ["pause", f"point to {postgres_pair.replica.address.port}", "resume", "cut"]
    assert steps_of(record).index("turn-routes") < steps_of(record).index("rejoin")
