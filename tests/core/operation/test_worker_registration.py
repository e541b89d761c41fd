"""The row that says that a worker lives."""

from datetime import timedelta

import pytest
from dispatch_kit import START, FixedLeases, put, row
from sqlalchemy import delete

from dbre.core.operation import tables
from dbre.core.operation.worker_identity import WorkerIdentity
from dbre.core.operation.workers import WorkerRegistration, live_zones, workers, zones
from dbre.core.store import Store
from dbre.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def leases() -> FixedLeases:
    return FixedLeases()


def identity(name: str, zone: str | None = None) -> WorkerIdentity:
    return WorkerIdentity(id=name, host="h", pid=7, zone=zone, version="1.0")


async def alive(store: Store, leases: FixedLeases) -> dict[str, bool]:
    async with store.read() as connection:
        return {one.id: one.is_alive for one in await workers(connection, leases)}


async def test_a_worker_lives_for_thirty_seconds_after_each_heartbeat(
    store: Store, clock: FakeClock, leases: FixedLeases
) -> None:
    one = WorkerRegistration(store, identity("w"), clock, leases)
    await one.register()
    leases.seconds += 29
    assert await alive(store, leases) == {"w": True}
    await one.heartbeat()
    leases.seconds += 29
    assert await alive(store, leases) == {"w": True}
    leases.seconds += 2
    assert await alive(store, leases) == {"w": False}
    await one.heartbeat()
    assert await alive(store, leases) == {"w": True}


async def test_a_wall_clock_that_jumps_kills_nobody_and_wakes_nobody(
    store: Store, clock: FakeClock, leases: FixedLeases
) -> None:
    one = WorkerRegistration(store, identity("w"), clock, leases)
    await one.register()
    for seconds in (7200, -3600 * 24 * 3):
        clock.step_wall(seconds)
        assert await alive(store, leases) == {"w": True}
    leases.seconds += 31
    clock.step_wall(-60)
    assert await alive(store, leases) == {"w": False}


async def test_a_worker_of_an_earlier_boot_is_gone(store: Store, clock: FakeClock, leases: FixedLeases) -> None:
    await WorkerRegistration(store, identity("w"), clock, leases).register()
    leases.epoch = "boot 2"
    assert await alive(store, leases) == {"w": False}


async def test_leaving_deletes_the_row_and_a_deleted_row_comes_back(
    store: Store, clock: FakeClock, leases: FixedLeases
) -> None:
    one = WorkerRegistration(store, identity("w"), clock, leases)
    await one.register()
    async with store.begin() as connection:
        await connection.execute(delete(tables.worker))
    await one.heartbeat()
    assert await alive(store, leases) == {"w": True}
    await one.leave()
    assert await alive(store, leases) == {}
    await one.leave()  # twice does no harm


async def test_workers_that_have_been_gone_for_a_day_are_forgotten(store: Store, clock: FakeClock, leases: FixedLeases) -> None:
    await WorkerRegistration(store, identity("old"), clock, leases).register()
    clock.step_wall(timedelta(hours=23).total_seconds())
    await WorkerRegistration(store, identity("new"), clock, leases).register()
    assert set(await alive(store, leases)) == {"old", "new"}
    clock.step_wall(timedelta(hours=2).total_seconds())
    await WorkerRegistration(store, identity("newer"), clock, leases).register()
    assert set(await alive(store, leases)) == {"new", "newer"}


async def test_zones_show_what_waits_where_and_who_lives_there(store: Store, clock: FakeClock, leases: FixedLeases) -> None:
    for name, zone in (("a", None), ("b", "dmz"), ("c", "dmz")):
        await WorkerRegistration(store, identity(name, zone), clock, leases).register()
    held = {"lease_epoch": leases.epoch, "lease_until": leases.seconds + 9}
    await put(
        store, row(1), row(2, zone="dmz", state="running", owner="b", **held), row(3, zone="office"), row(4, zone="office")
    )
    async with store.read() as connection:
        found = [(one.zone, one.live_workers, one.queued_count, one.running_count) for one in await zones(connection, leases)]
        assert found == [(None, 1, 1, 0), ("dmz", 2, 0, 1), ("office", 0, 2, 0)]
        assert set(await live_zones(connection, leases)) == {None, "dmz"}
        assert {one.id: one.running_count for one in await workers(connection, leases)} == {"a": 0, "b": 1, "c": 0}
