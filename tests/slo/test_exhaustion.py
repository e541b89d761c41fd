"""When the budget is gone, against a walk in small steps."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.error_budget import error_budget
from dbre.capabilities.slo.exhaustion import time_to_exhaustion
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow, span

NOW = datetime(2026, 11, 21, 4, 0, 5, tzinfo=UTC)
HOUR = RollingWindow(seconds=3600)


def answer(bad_slots, *, rate, window=HOUR, target="0.9"):
    series, end = SlotSeries(), slot_at(NOW)
    for ago, bad in bad_slots.items():
        series.add(end - ago, Counts(bad=bad))
    at = span(window, NOW)
    counts = series.window(at.start_slot, at.seen_slot)
    budget = error_budget(counts, target=Decimal(target), window_seconds=at.seconds, interval_ms=10_000)
    return time_to_exhaustion(budget, series, window=window, at=at, bad_per_second=Fraction(rate)), budget


def test_nothing_bad_now_means_never():
    found, _ = answer({5: 10}, rate="0")
    assert (found.simple_seconds, found.aged_seconds) == (None, None)


def test_what_is_spent_is_gone_now():
    found, _ = answer({5: 36}, rate="0.01")
    assert (found.simple_seconds, found.aged_seconds) == (0, 0)


def test_without_old_errors_both_answers_agree():
    found, _ = answer({}, rate="0.1")
    assert found.simple_seconds == found.aged_seconds == 360  # 36 may be bad, one comes each 10 s


def test_errors_that_leave_the_window_buy_time():
    found, _ = answer({350: 30}, rate="0.01")  # 6 are left; the 30 leave after 90 to 100 s
    assert found.simple_seconds == 600
    assert found.aged_seconds == 3600  # afterwards 36 are left again, and a whole window at this rate spends exactly those
    found, _ = answer({350: 30}, rate="0.009")
    assert found.aged_seconds is None


def test_a_calendar_window_ends_before_a_slow_burn_does():
    day = CalendarWindow(unit=CalendarUnit.DAY, time_zone="UTC")
    found, budget = answer({}, rate="0.0001", window=day)
    assert found.simple_seconds == budget.remaining_bad * 10_000
    assert found.aged_seconds is None
    found, _ = answer({}, rate="0.1", window=day)
    assert found.aged_seconds == found.simple_seconds == 8640


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 359), st.integers(1, 4), max_size=12), st.integers(1, 40))
def test_the_aged_answer_is_what_a_walk_second_by_second_finds(bad_slots, per_thousand_seconds):
    rate = Fraction(per_thousand_seconds, 1000)
    found, budget = answer(bad_slots, rate=rate)
    left, walked = budget.remaining_bad, None
    leaving = {359 - ago: bad for ago, bad in bad_slots.items()}  # by the slot of the future in which they leave
    for second in range(3600):
        if left <= 0:
            walked = second
            break
        left += Fraction(leaving.get(second // 10, 0), 10) - rate
    if walked is None and left <= 0:
        walked = 3600
    if found.aged_seconds is None:
        assert walked is None
    else:
        assert walked is not None
        assert abs(walked - found.aged_seconds) <= 1
