"""What the sweeper finds, hands over once, and finds again where nobody took it."""

import asyncio
from datetime import timedelta

import pytest
from dispatch_kit import START, Basket, FixedLeases, column, number, put, row
from sqlalchemy import insert, update

from dbre.core.clock import SystemClock
from dbre.core.operation import tables
from dbre.core.operation.due import SweepScope, find_due, mark_dispatched
from dbre.core.operation.journal import TOPIC
from dbre.core.operation.sweeper import Sweeper
from dbre.core.store import Store
from dbre.testing.clock import FakeClock

LEASES = FixedLeases()


def sweeper(store: Store, basket: Basket, clock: FakeClock, **options: object) -> Sweeper:
    return Sweeper(store, basket, clock, LEASES, **options)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


async def test_finds_what_is_queued_and_what_was_left_and_nothing_else(store: Store, clock: FakeClock) -> None:
    gone = {"owner": "w1", "lease_epoch": "store", "lease_until": 999.0}
    held = {"owner": "w1", "lease_epoch": "store", "lease_until": 1020.0}
    gate, person = ({"by": by, "is_gate": is_gate, "reason": "r", "since": "s"} for by, is_gate in (("g", True), ("p", False)))
    past, future = START - timedelta(seconds=1), START + timedelta(seconds=1)
    await put(
        store,
        row(1),
        row(2, not_before=past),
        row(3, not_before=future),
        row(4, state="running", **gone),
        row(5, state="running", **held),
        row(6, state="verifying", **gone),
        row(7, state="compensating", **gone),
        row(8, state="compensating", owner="w1", lease_epoch="an earlier boot", lease_until=5000.0),
        row(9, state="running"),  # a person resolved it
        row(10, state="paused", hold=gate, not_before=past),
        row(11, state="paused", hold=gate, not_before=future),
        row(12, state="paused", hold=person, not_before=past),
        row(13, state="awaiting_approval"),
        row(14, state="needs_operator"),
        row(15, state="succeeded"),
        row(16, zone="dmz"),
        row(17, parent_id=number(5)),
    )
    basket = Basket()
    assert await sweeper(store, basket, clock).sweep() == 8
    assert basket.take() == [number(one) for one in (4, 6, 7, 8, 9, 10, 1, 2)]


@pytest.mark.parametrize(
    ("is_queue", "expected"), [(True, [0, 30, 60, 120, 240]), (False, [0, 30, 60, 90, 120, 150, 180, 210, 240])]
)
async def test_what_was_handed_over_is_handed_over_again_after_a_while_that_doubles_for_queues(
    store: Store, clock: FakeClock, is_queue: bool, expected: list[int]
) -> None:
    await put(store, row(1))
    await live_worker(store)
    basket = Basket(serves_every_zone=is_queue)
    one = sweeper(store, basket, clock)
    moments = []
    for second in range(250):
        if await one.sweep():
            moments.append(second)
        await clock.advance(1, turns=1)
    assert moments == expected


async def live_worker(store: Store, zone: str | None = None) -> None:
    """A worker of that zone, which lives for as long as these tests take."""
    worker = {"id": f"w-{zone}", "host": "h", "pid": 1, "zone": zone, "version": "1", "started_at": START}
    worker |= {"heartbeat_at": START, "lease_epoch": LEASES.epoch, "lease_until": LEASES.seconds + 3600}
    async with store.begin() as connection:
        await connection.execute(insert(tables.worker), [worker])


async def test_a_left_operation_is_told_of_as_soon_as_its_lease_is_over(store: Store, clock: FakeClock) -> None:
    leases = FixedLeases()
    await put(store, row(1, state="running", owner="w", lease_epoch="store", lease_until=1030.0))
    basket = Basket()
    one = Sweeper(store, basket, clock, leases)
    leases.seconds = 1029.9
    await clock.advance(30)
    assert await one.sweep() == 0
    leases.seconds = 1030.1
    assert await one.sweep() == 1


async def test_a_left_operation_is_told_of_at_the_same_pace_however_old_it_is(store: Store, clock: FakeClock) -> None:
    await put(store, row(1, state="running", created_at=START - timedelta(hours=1)))
    basket = Basket()
    one = sweeper(store, basket, clock)
    moments = []
    for second in range(100):
        if await one.sweep():
            moments.append(second)
        await clock.advance(1, turns=1)
    assert moments == [0, 30, 60, 90]


async def test_an_operation_that_a_gate_held_is_told_of_as_soon_as_it_is_due(store: Store, clock: FakeClock) -> None:
    await put(store, row(1))
    basket = Basket()
    one = sweeper(store, basket, clock)
    assert await one.sweep() == 1
    async with store.begin() as connection:  # as the runner does when a gate holds
        await connection.execute(update(tables.operation).values(not_before=START + timedelta(seconds=5)))
    await clock.advance(4.9)
    assert await one.sweep() == 0
    await clock.advance(0.2)
    assert await one.sweep() == 1


async def test_the_most_urgent_come_first_then_the_oldest_and_never_more_than_there_is_room_for(
    store: Store, clock: FakeClock
) -> None:
    await put(store, row(1), row(2, priority=9), row(3), row(4, priority=0), row(5, priority=9))
    basket = Basket(room=2)
    one = sweeper(store, basket, clock)
    found = []
    while await one.sweep():
        found.append(basket.take())
    assert found == [[number(2), number(5)], [number(1), number(3)], [number(4)]]
    basket.room = 0
    await put(store, row(6))
    assert await one.sweep() == 0


async def test_two_sweepers_never_hand_over_the_same_operation(store: Store, clock: FakeClock) -> None:
    await put(store, *(row(one) for one in range(1, 51)))
    first, second = Basket(), Basket()
    await asyncio.gather(*(sweeper(store, basket, clock).sweep() for basket in (first, second)))
    assert sorted(first.take() + second.take()) == [number(one) for one in range(1, 51)]


async def test_what_could_not_be_carried_is_offered_again_at_once(store: Store, clock: FakeClock) -> None:
    await put(store, row(1))
    basket = Basket()
    basket.refuses = True
    one = sweeper(store, basket, clock)
    assert await one.sweep() == 0
    assert await column(store, 1, "dispatched_at") is None
    basket.refuses = False
    assert await one.sweep() == 1


async def test_a_wall_clock_that_is_set_back_does_not_hide_an_operation(store: Store, clock: FakeClock) -> None:
    await put(store, row(1, created_at=START - timedelta(hours=1)))
    basket = Basket()
    one = sweeper(store, basket, clock)
    assert await one.sweep() == 1
    clock.step_wall(-3600)
    assert await one.sweep() == 1


async def test_a_worker_gets_only_operations_of_its_zone_and_one_without_zone_only_those_without(
    store: Store, clock: FakeClock
) -> None:
    await put(store, row(1), row(2, zone="dmz"), row(3, zone="office"))
    basket = Basket()
    await sweeper(store, basket, clock, zone="dmz").sweep()
    assert basket.take() == [number(2)]
    await sweeper(store, basket, clock).sweep()
    assert basket.take() == [number(1)]


async def test_a_broker_is_told_only_of_zones_in_which_a_worker_lives(store: Store, clock: FakeClock) -> None:
    await put(store, row(1), row(2, zone="dmz"), row(3, zone="office"))
    basket = Basket(serves_every_zone=True)
    one = sweeper(store, basket, clock)
    assert await one.sweep() == 0
    await live_worker(store, "dmz")
    await one.sweep()
    assert basket.take() == [number(2)]
    await live_worker(store)
    await one.sweep()
    assert basket.take() == [number(1)]


async def test_what_was_claimed_since_it_was_found_is_not_noted_as_told_of(store: Store, clock: FakeClock) -> None:
    """A note on an operation that runs would hide it after its worker's death."""
    await put(store, row(1))
    scope = SweepScope(limit=10, again_after=timedelta(seconds=30), is_patient=False, zones=None)
    async with store.read() as connection:
        found = await find_due(connection, scope, now=clock.now(), leases=LEASES)
    async with store.begin() as connection:
        taken = {"state": "running", "owner": "w", "lease_epoch": "store", "lease_until": LEASES.seconds + 30}
        await connection.execute(update(tables.operation).values(taken))
        assert await mark_dispatched(connection, found, scope, now=clock.now(), leases=LEASES) == []
    assert await column(store, 1, "dispatched_at") is None


async def test_a_commit_wakes_it_and_another_process_is_noticed_within_a_second(store: Store) -> None:
    basket = Basket()
    one = sweeper(store, basket, SystemClock())
    running = asyncio.create_task(one.run())
    try:
        await asyncio.sleep(0.2)
        await put(store, row(1), topic=TOPIC)
        await asyncio.sleep(0.3)
        assert basket.take() == [number(1)]
        await put(store, row(2))  # without announcement: as if written by somebody else
        await asyncio.sleep(1.3)
        assert basket.take() == [number(2)]
    finally:
        running.cancel()


async def test_ten_thousand_waiting_operations_cost_milliseconds(store: Store, clock: FakeClock) -> None:
    plan = "x" * 4000
    for start in range(0, 10_000, 1000):
        told = {"dispatched_at": START}
        await put(store, *(row(one, plan=plan, **told) for one in range(start + 1, start + 1001)))
    basket = Basket()
    one = sweeper(store, basket, clock)
    await one.sweep()
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        assert await one.sweep() == 0
    seconds = (asyncio.get_running_loop().time() - began) / 10
    assert seconds < 0.1, f"{seconds * 1000:.1f} ms a look"
