"""Counts from sources other than probes: groups, marks, signs of life, and that nothing is lost or doubled."""

import asyncio
from datetime import timedelta

import pytest
from slo_kit import START, World, definition, failing

from dbre.capabilities.slo.counting import CountedSlot, SourceMark
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import OTHER_GROUP
from dbre.capabilities.slo.reading import burn_down, report
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.core.store import Store

REQUESTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource())
TENANTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource(group_attribute="tenant"))
SLOT = slot_at(START)


def counted(good: int, bad: int = 0, *, group: str = "", slot: int = SLOT, slo: str = "checkout") -> CountedSlot:
    return CountedSlot(slo, "orders", group, slot, Counts(good, bad))


def world(store: Store, sli: Sli = REQUESTS, **more) -> World:
    return World(store, definitions=(definition("checkout", sli=sli, **more),))


async def test_counts_reach_memory_at_once_and_the_store_with_their_mark(store: Store) -> None:
    one = world(store)
    await one.engine.tick()
    await one.engine.wait_until_started()
    one.engine.take([counted(90, 10)], mark=SourceMark("ingest/0", "7"))
    assert (await one.status("checkout")).counts == Counts(90, 10)
    assert one.engine.stored_position("ingest/0") is None
    await one.engine.tick()
    assert one.engine.stored_position("ingest/0") == "7"
    assert await one.stored() == {"good": 90, "bad": 10, "total": 100, "missed": 0, "excluded": 0}
    again = one.start()
    await again.tick()
    assert again.stored_position("ingest/0") == "7"
    assert (await one.status("checkout")).counts == Counts(90, 10)


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_mark_is_never_stored_without_its_counts_nor_counts_twice(sqlite_store: Store, after_commit: bool) -> None:
    one = world(sqlite_store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(5, group="a"), counted(7, group="b")], mark=SourceMark("ingest/0", "1"))
    async with failing(sqlite_store, after_commit=after_commit):
        await one.engine.tick()
    assert one.engine.stored_position("ingest/0") is None
    one.engine.take([counted(1, group="c")], mark=SourceMark("ingest/0", "2"))
    await one.engine.tick()
    assert one.engine.stored_position("ingest/0") == "2"
    assert (await one.stored())["good"] == 2 * 13  # each group, and all of them together


async def test_a_mark_alone_is_stored(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    await one.engine.tick()
    one.engine.take([], mark=SourceMark("nats/orders/1", "41"))
    await one.engine.tick()
    assert one.engine.stored_position("nats/orders/1") == "41"


async def test_groups_appear_with_their_events_and_are_there_after_a_restart(store: Store) -> None:
    one = world(store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(10, 1, group="a"), counted(20, group="b")])
    await one.engine.tick()
    for engine in (one.engine, one.start()):
        await engine.tick()
        found = {status.id: status.counts for status in await engine.status()}
        assert found == {
            "checkout@orders": Counts(30, 1),
            "checkout@orders/a": Counts(10, 1),
            "checkout@orders/b": Counts(20),
        }
    stored = {status.id: status.counts for status in await report(store, one.definitions, one.fleet, one.clock.now())}
    assert stored == found
    (only,) = await report(store, one.definitions, one.fleet, one.clock.now(), name="checkout@orders/a")
    assert (only.group, only.counts) == ("a", Counts(10, 1))
    chart = await burn_down(store, one.definitions, one.fleet, one.clock.now(), slo="checkout", cluster="orders", group="a")
    assert chart.group == "a"
    assert chart.points


async def test_a_group_without_a_slot_in_reach_is_forgotten_at_the_next_start(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS, days=1)
    await one.engine.tick()
    one.engine.take([counted(1, group="gone")])
    await one.engine.tick()
    one.wait(86_400 * 6)
    await one.start().tick()
    assert [status.id for status in await one.engine.status()] == ["checkout@orders"]


async def test_more_groups_than_allowed_count_together(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS, max_groups=2)
    await one.engine.tick()
    one.engine.take([counted(1, group=f"tenant-{number}") for number in range(50)])
    found = {status.group: status.total for status in await one.engine.status()}
    assert found == {"": 50, "tenant-0": 1, "tenant-1": 1, OTHER_GROUP: 48}


async def test_a_hostile_group_name_is_written_out(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS, has_roll_up=False)
    await one.engine.tick()
    one.engine.take([counted(1, group="a\x1b[2J\n"), counted(1, group="x" * 5000)])
    await one.engine.tick()
    names = [status.group for status in await one.engine.status()]
    assert names[0] == "a\\x1b[2J\\n"
    assert len(names[1]) == 200


async def test_events_of_an_slo_that_is_not_configured_are_counted_as_unknown(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    one.engine.take([counted(3, 4, slo="nobody")], mark=SourceMark("ingest/0", "1"))
    await one.engine.tick()
    assert one.engine.health.unknown_events == 7
    assert one.engine.stored_position("ingest/0") == "1"


async def test_no_traffic_is_not_lost_telemetry_while_the_source_is_heard(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    await one.engine.tick()
    for _ in range(10):
        one.wait(20)
        one.engine.heard("checkout", "orders")
        await one.engine.tick()
    assert (await one.status("checkout")).telemetry is TelemetryState.NO_TRAFFIC
    (stored,) = await report(sqlite_store, one.definitions, one.fleet, one.clock.now())
    assert stored.telemetry is TelemetryState.NO_TRAFFIC
    assert await one.events() == []
    one.wait(61)
    await one.engine.tick()
    assert (await one.status("checkout")).telemetry is TelemetryState.TELEMETRY_LOST
    (event,) = await one.events()
    assert (event.kind, event.subject) == ("slo.alert_fired", "checkout@orders")


async def test_an_idle_group_is_not_lost_while_another_has_traffic(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(1, group="idle")])
    for step in range(1, 10):
        one.wait(30)
        one.engine.take([counted(1, group="busy", slot=SLOT + 3 * step)])
        await one.engine.tick()
    found = {status.group: status.telemetry for status in await one.engine.status()}
    assert found["idle"] is TelemetryState.NO_TRAFFIC
    assert found["busy"] is TelemetryState.OK


async def test_a_silent_source_is_told_once_and_not_by_each_of_its_groups(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(1, group=f"tenant-{number}") for number in range(5)])
    for _ in range(12):
        one.wait(30)
        await one.engine.tick()
    assert [(event.data["group"], event.data["rule"]) for event in await one.events()] == [
        ("", "telemetry-ticket"),
        ("", "telemetry-page"),
    ]
    assert {status.telemetry for status in await one.engine.status()} == {TelemetryState.TELEMETRY_LOST}


async def test_the_alert_of_a_group_names_it_and_outlives_a_restart(store: Store) -> None:
    one = world(store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(1000, group="good"), counted(10, 90, group="bad")])
    one.wait(5)
    await one.engine.tick()
    fired = [event for event in await one.events() if event.data["group"] == "bad"]
    assert [event.subject for event in fired] == ["checkout@orders/bad"]
    await one.start().tick()
    again = await one.events()
    assert len([event for event in again if event.data["group"] == "bad"]) == 1
    assert not [event for event in again if event.data["group"] == "good"]


async def test_the_budget_of_events_counts_on_the_pace_that_was_seen(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    await one.engine.tick()
    one.engine.take([counted(99, 1)])
    status = await one.status("checkout")
    assert status.budget.allowed_bad == 100 * 720 / 1000  # 100 an hour at least, for 720 hours, of which 0.1 %
    assert status.budget.remaining_ratio > 0
    one.wait(timedelta(days=30).total_seconds() - 10)
    one.engine.take([counted(900, slot=slot_at(one.clock.now()))])
    assert (await one.status("checkout")).budget.allowed_bad == 1  # the whole window was seen: 1,000 events


async def test_before_the_first_event_nothing_is_spent(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    status = await one.status("checkout")
    assert (status.budget.consumed_ratio, status.ratio) == (0, None)


async def test_events_without_a_group_are_counted_once(sqlite_store: Store) -> None:
    one = world(sqlite_store, TENANTS)
    await one.engine.tick()
    one.engine.take([counted(3, 1, group=""), counted(5, group="a")])
    found = {status.group: status.counts for status in await one.engine.status()}
    assert found == {"": Counts(8, 1), OTHER_GROUP: Counts(3, 1), "a": Counts(5)}


@pytest.mark.parametrize("failure", [Counts(missed=1), Counts(excluded=1)])
async def test_a_source_that_only_tells_of_its_own_failures_is_lost_telemetry(sqlite_store: Store, failure: Counts) -> None:
    one = world(sqlite_store)
    await one.engine.tick()
    one.engine.take([counted(1)])
    for index in range(8):
        one.engine.take([CountedSlot("checkout", "orders", "", SLOT + 2 * index, failure)])
        await one.engine.tick()
        one.wait(20)
    assert (await one.status("checkout")).telemetry is TelemetryState.TELEMETRY_LOST


async def test_traffic_that_never_pauses_does_not_hold_up_the_evaluation(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    await one.engine.tick()
    one.engine.take([counted(1)])
    is_over = False

    async def send() -> None:
        while not is_over:
            one.engine.take([counted(1)])
            await asyncio.sleep(0)

    sender = asyncio.create_task(send())
    try:
        async with asyncio.timeout(30):  # else it writes for as long as somebody sends
            await one.engine.tick()
    finally:
        is_over = True
        await sender
    await one.engine.tick()
    assert (await one.stored())["good"] == (await one.status("checkout")).counts.good > 0
