"""Budgets by slices of time: exact, with every policy for slices without data, and the same however the counts arrive."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import START, World, cluster, definition

from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.budgeting_method import DEFICIT_UNITS, Method, NoSliceData, TimeSlices
from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.reading import report
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.sources import EventSource
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.store import Store

REQUESTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource())
TWO_WEEKS = RollingWindow(seconds=14 * 86_400)
BAD_BELOW_95 = TimeSlices(seconds=60, target=Decimal("0.95"))
BY_RATIO = TimeSlices(seconds=60, target=None)
SLOT = slot_at(START)


def state_of(slices: TimeSlices, series: SlotSeries, *, target: str = "0.95", minutes: int):
    now = START + timedelta(minutes=minutes)
    judged = SliceSeries(slices)
    judged.follow(series, slot_at(now))
    one = definition("checkout", sli=REQUESTS, target=target, window=TWO_WEEKS, slices=slices)
    measured = Measured(
        instance=SloInstance(definition=one, cluster=cluster()),
        series=series,
        recent=series,
        interval_ms=0,
        silent_seconds=0,
        lost_after_seconds=60,
        judged=judged,
        judged_recent=judged,
    )
    return assess(measured, now)


def minutes_of(*parts: tuple[int, int, int]) -> SlotSeries:
    """Minutes, each with good and bad events in its first slot."""
    series, minute = SlotSeries(), 0
    for count, good, bad in parts:
        for _ in range(count):
            series.add(SLOT + 6 * minute, Counts(good, bad))
            minute += 1
    return series


@pytest.mark.parametrize(("attacked", "is_left"), [(1007, True), (1008, False)])
def test_the_example_of_openslo_by_timeslices_burns_its_budget_in_16_hours_48_minutes(attacked: int, is_left: bool) -> None:
    series = minutes_of((attacked, 1, 99), (20_160 - attacked, 99, 1))
    status = state_of(BAD_BELOW_95, series, minutes=20_160)
    assert status.budget.allowed_bad == 1008
    assert status.counts == Counts(20_160 - attacked, attacked)
    assert (status.budget.remaining_ratio > 0) is is_left


@pytest.mark.parametrize(("attacked", "is_left"), [(822, True), (823, False)])
def test_the_example_of_openslo_by_ratio_burns_its_budget_in_13_hours_43_minutes(attacked: int, is_left: bool) -> None:
    series = minutes_of((attacked, 1, 99), (20_160 - attacked, 99, 1))
    status = state_of(BY_RATIO, series, minutes=20_160)
    spent = Fraction(99, 100) * attacked + Fraction(1, 100) * (20_160 - attacked)
    assert status.budget.bad == spent
    assert status.budget.consumed_ratio == spent / 1008
    assert status.ratio == 1 - spent / 20_160
    assert status.method is Method.RATIO_TIMESLICES
    assert (status.budget.remaining_ratio > 0) is is_left


def test_a_slice_on_the_boundary_is_good() -> None:
    assert BAD_BELOW_95.judge(Counts(95, 5)) == Counts(good=1)
    assert BAD_BELOW_95.judge(Counts(9_499_999, 500_001)) == Counts(bad=1)
    assert BAD_BELOW_95.judge(Counts(missed=3)) is None


def test_thirds_are_rounded_to_less_than_a_millionth_of_a_millionth() -> None:
    worth = BY_RATIO.judge(Counts(2, 1))
    assert worth is not None
    assert worth.total == DEFICIT_UNITS
    assert abs(Fraction(worth.bad, DEFICIT_UNITS) - Fraction(1, 3)) < Fraction(1, DEFICIT_UNITS)


@pytest.mark.parametrize(
    ("policy", "counts", "allowed"),
    [
        (NoSliceData.GOOD, Counts(100, 10), Fraction(1008)),
        (NoSliceData.BAD, Counts(10, 100), Fraction(1008)),
        (NoSliceData.IGNORE, Counts(10, 10, excluded=90), Fraction(20_160 - 90, 20)),
        (NoSliceData.CARRY, Counts(10, 100), Fraction(1008)),
    ],
)
def test_a_slice_without_data_is_what_the_policy_says(policy: NoSliceData, counts: Counts, allowed: Fraction) -> None:
    slices = TimeSlices(seconds=60, target=Decimal("0.95"), no_data=policy)
    status = state_of(slices, minutes_of((10, 1, 0), (10, 0, 1)), minutes=110)
    assert status.counts == counts
    assert status.budget.allowed_bad == allowed


def test_slices_before_the_first_event_are_none_and_the_open_one_waits() -> None:
    series = SlotSeries()
    series.add(SLOT + 600, Counts(0, 1))
    judged = SliceSeries(TimeSlices(seconds=60, target=Decimal("0.95"), no_data=NoSliceData.BAD))
    judged.follow(series, SLOT + 605)
    assert judged.window(SLOT, SLOT + 1200) == Counts()
    judged.follow(series, SLOT + 606)
    assert judged.window(SLOT, SLOT + 1200) == Counts(bad=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40),
    st.sampled_from(NoSliceData),
    st.sampled_from([Decimal("0.5"), None]),
    st.lists(st.integers(0, 130), max_size=6),
)
def test_slices_are_the_same_however_the_counts_arrive(events, policy, target, looks) -> None:
    slices = TimeSlices(seconds=60, target=target, no_data=policy)
    series, following = SlotSeries(), SliceSeries(slices)
    stops = {index * len(events) // max(len(looks), 1): look for index, look in enumerate(sorted(looks))}
    for index, (slot, good, bad) in enumerate(events):
        if index in stops:
            following.follow(series, SLOT + stops[index])
        series.add(SLOT + slot, Counts(good, bad))
        following.touch(SLOT + slot)
    whole = SliceSeries(slices)
    for one in (following, whole):
        one.follow(series, SLOT + 132)
    for start in range(0, 132, 6):
        assert following.window(SLOT + start, SLOT + start + 6) == whole.window(SLOT + start, SLOT + start + 6)


async def test_the_engine_pages_for_bad_slices_and_the_store_tells_the_same(sqlite_store: Store) -> None:
    one = World(sqlite_store, definitions=(definition("checkout", sli=REQUESTS, slices=BAD_BELOW_95),))
    await one.engine.tick()
    for minute in range(90):
        bad = 10 if minute >= 80 else 0
        one.engine.take([CountedSlot("checkout", "orders", "", slot_at(one.clock.now()), Counts(90, bad))])
        await one.engine.tick()
        one.wait(60)
    await one.engine.tick()
    status = await one.status("checkout")
    assert status.counts == Counts(80, 10)
    assert status.events == Counts(8_100, 100)
    assert status.budget.allowed_bad == Fraction(432, 10)  # 43,200 minutes, of which 0.1 %
    assert [event.data["severity"] for event in await one.events()] == ["page"]
    (stored,) = await report(sqlite_store, one.definitions, one.fleet, one.clock.now())
    assert (stored.counts, stored.budget, stored.burn_rates) == (status.counts, status.budget, status.burn_rates)
