"""Times that do not count: what they take out, that both numbers are told, and that they can be taken back."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from slo_kit import FLEET, START, World, definition

from dbre.capabilities.slo.correction import Correction, joined, slots_between
from dbre.capabilities.slo.correction_repository import add_correction, read_corrections, revoke_correction
from dbre.capabilities.slo.corrections.operations import CorrectInput, CorrectSlo
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.errors import InvalidCorrection
from dbre.capabilities.slo.reading import report
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.core.errors import UsageError
from dbre.core.operation.context import PlanContext
from dbre.core.store import Store
from dbre.ports.probe import Outcome

SLOT = slot_at(START)


def correction(start: int, end: int, *, slo: str = "orders-writes", group: str = "", number: str | None = None) -> Correction:
    return Correction(
        id=number or str(uuid4()),
        slo=slo,
        cluster="orders",
        group=group,
        start_slot=start,
        end_slot=end,
        reason="rehearsed switchover",
        operation_id=None,
        created_by="ana",
        created_at=START,
    )


async def outage(one: World, *, good: int = 60, bad: int = 60) -> None:
    await one.engine.tick()
    for outcome, times in ((Outcome.GOOD, good), (Outcome.BAD, bad), (Outcome.GOOD, good)):
        await one.probe(outcome, times=times, tick=False)


async def test_a_correction_takes_the_outage_out_and_both_numbers_are_told(store: Store) -> None:
    one = World(store)
    await outage(one)
    async with store.begin() as connection:
        assert await add_correction(connection, correction(SLOT + 60, SLOT + 120, number="c1"))
        assert not await add_correction(connection, correction(SLOT + 60, SLOT + 120, number="c1"))
    one.wait(10)
    await one.engine.tick()
    for status in (await one.status(), (await report(store, one.definitions, one.fleet, one.clock.now()))[0]):
        assert status.counts == Counts(120)
        assert status.raw_events == Counts(120, 60)
        assert status.corrected_seconds == 600
        assert status.budget.remaining_ratio == 1
        assert status.raw_budget is not None
        assert status.raw_budget.remaining_ratio == 1 - 60 / status.budget.allowed_bad
        assert all(reading.counts.bad == 0 for reading in status.burn_rates)
    async with store.begin() as connection:
        assert await revoke_correction(connection, "c1", by="eva", now=one.clock.now())
        assert not await revoke_correction(connection, "c1", by="eva", now=one.clock.now())
    one.wait(10)
    await one.engine.tick()
    assert (await one.status()).counts == Counts(120, 60)
    async with store.read() as connection:
        (kept,) = await read_corrections(connection, slo="orders-writes")
    assert (kept.revoked_by, kept.created_by, kept.reason) == ("eva", "ana", "rehearsed switchover")


async def test_a_correction_ends_the_alert_of_the_outage_and_survives_a_restart(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    await outage(one, bad=30)
    await one.engine.tick()
    assert [event.kind for event in await one.events()] == ["slo.alert_fired"]
    async with sqlite_store.begin() as connection:
        await add_correction(connection, correction(SLOT + 60, SLOT + 120))
    await one.start().tick()
    await one.probe(Outcome.GOOD, times=60)
    assert [event.kind for event in await one.events()] == ["slo.alert_fired", "slo.alert_resolved"]
    assert (await one.status()).raw_events.bad == 30


async def test_events_that_come_late_into_a_corrected_time_do_not_count(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    async with sqlite_store.begin() as connection:
        await add_correction(connection, correction(SLOT, SLOT + 60))
    await one.engine.tick()
    await one.probe(Outcome.BAD, times=61)
    status = await one.status()
    assert (status.counts, status.raw_events) == (Counts(0, 1), Counts(0, 61))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=20),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=5),
)
def test_what_is_left_and_what_is_taken_out_are_all(events, intervals) -> None:
    series, total = SlotSeries(), 0
    cut = joined([(start, start + length) for start, length in intervals])
    for slot, bad in events:
        series.add(slot, Counts(bad=bad))
        total += bad
    left = series.without(cut)
    taken = sum((series.window(low, high).bad for low, high in cut), 0)
    assert left.window(0, 100).bad + taken == total
    assert all(not left.window(low, high) for low, high in cut)


def test_a_correction_takes_whole_minutes() -> None:
    start = START + timedelta(seconds=30)
    assert slots_between(start, start + timedelta(minutes=1)) == (SLOT, SLOT + 12)
    assert slots_between(START, START + timedelta(minutes=1)) == (SLOT, SLOT + 6)


def operation(store: Store | None) -> CorrectSlo:
    return CorrectSlo(definitions=(definition(),), fleet=FLEET, store=store)


async def test_the_plan_shows_what_the_correction_does_to_the_budget(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    await outage(one)
    await one.engine.tick()
    asked = CorrectInput(
        slo="orders-writes@orders", start=START + timedelta(minutes=10), end=START + timedelta(minutes=20), reason="switchover"
    )
    plan = await operation(sqlite_store).plan(PlanContext(clock=one.clock, requested_by="ana"), asked)
    assert [(change.before, change.after) for change in plan.changes] == [("60 bad of 60", "left out"), ("23.1 %", "0 %")]
    assert plan.target == "slo/orders-writes@orders"
    assert plan.steps[0].undo == "revoke"


@pytest.mark.parametrize(
    ("slo", "minutes", "message"),
    [
        ("orders-writes", 10, "a correction is about one"),
        ("orders-writes@orders", -10, "ends before it begins"),
        ("orders-writes@orders", 60 * 24 * 32, "may last 31 d"),
    ],
)
async def test_a_correction_that_cannot_be_meant_is_refused(sqlite_store, slo: str, minutes: int, message: str) -> None:
    one = World(sqlite_store)
    asked = CorrectInput(slo=slo, start=START, end=START + timedelta(minutes=minutes), reason="switchover")
    with pytest.raises(InvalidCorrection, match=message):
        await operation(sqlite_store).plan(PlanContext(clock=one.clock, requested_by="ana"), asked)


async def test_without_a_store_it_says_so(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    asked = CorrectInput(slo="orders-writes@orders", start=START - timedelta(hours=1), end=START, reason="switchover")
    with pytest.raises(UsageError, match="state store"):
        await operation(None).plan(PlanContext(clock=one.clock, requested_by="ana"), asked)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        CorrectInput(slo="a@b", start="2026-11-01T10:00:00", end="2026-11-01T11:00:00Z", reason="why not")
