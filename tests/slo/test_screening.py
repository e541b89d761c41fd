"""The screen that spares most assessments never spares one that would fire."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import START, cluster, definition

from dbre.capabilities.slo.assessment import Measured, rules_now
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.model import RuleKind
from dbre.capabilities.slo.screening import screen_of
from dbre.capabilities.slo.series import SlotSeries, slot_at

ONE = definition(target="0.9", days=7)
FIRST = slot_at(START)


def would_fire(series: SlotSeries, slot: int) -> bool:
    measured = Measured(
        instance=SloInstance(definition=ONE, cluster=cluster()),
        series=series,
        recent=series,
        interval_ms=10_000,
        silent_seconds=0,
        lost_after_seconds=60,
    )
    now = START + timedelta(seconds=10 * (slot - FIRST))
    return any(rule.is_met for rule in rules_now(measured, now) if rule.kind is RuleKind.BURN)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=12), st.integers(0, 60)
)
def test_a_screen_spares_nothing_that_would_fire(parts, later: int) -> None:
    series, at = SlotSeries(), FIRST
    for length, good, bad in parts:
        series.add(at, Counts(good, bad), length=length)
        at += length
    screen = screen_of(ONE, 7 * 86_400)
    end = at
    if would_fire(series, end - 1):
        assert screen.may_fire(series, end)
    if not screen.may_fire(series, end):
        until = screen.calm_until(series, end)
        if end + later <= until:  # nothing bad came meanwhile, and perhaps nothing at all
            assert not would_fire(series, end + later - 1)


def test_bad_events_that_lie_ahead_end_the_calm_in_time() -> None:
    series = SlotSeries()
    series.add(FIRST, Counts(good=10), length=2_000)
    end = FIRST + 2_000
    series.add(end + 3, Counts(good=0, bad=100_000))  # of a sender whose clock is half a minute ahead
    screen = screen_of(ONE, 7 * 86_400)
    assert not would_fire(series, end - 1)
    assert would_fire(series, end + 3)
    assert screen.may_fire(series, end) or screen.calm_until(series, end) <= end + 3


def test_the_newest_bad_slot_and_all_sums_survive_moving_and_forgetting() -> None:
    series = SlotSeries()
    series.add(10, Counts(1, 1), length=5)
    series.add(20, Counts(2))
    series.add(12, Counts(0, 3))
    assert (series.newest_bad, series.bad_and_total(0, 100)) == (15, (8, 15))
    series.shift(100)
    assert (series.newest_bad, series.bad_and_total(110, 200)) == (115, (8, 15))
    series.forget_before(113)
    assert series.bad_and_total(0, 200) == (series.window(0, 200).bad, series.window(0, 200).total) == (2, 6)
