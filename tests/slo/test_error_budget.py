"""Budgets and burn rates, exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.burn_rate import burn_rate, detection_seconds, spent_when_fired
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.error_budget import BudgetHealth, error_budget
from dbre.capabilities.slo.errors import InvalidObjective
from dbre.capabilities.slo.objective import allowed_ratio, check_target

MONTH = 30 * 86_400
targets = st.integers(1, 10**6 - 1).map(lambda millionths: Decimal(millionths).scaleb(-6))


def budget(good: int, bad: int, target: str = "0.999", seconds: int = MONTH):
    return error_budget(Counts(good=good, bad=bad), target=Decimal(target), window_seconds=seconds, interval_ms=10_000)


def test_three_nines_over_thirty_days_allow_43_minutes_and_12_seconds():
    one = budget(259_200, 0)
    assert (one.allowed_bad, one.seconds, one.remaining_ratio) == (Fraction("259.2"), 2592, 1)


def test_a_fresh_window_counts_on_the_volume_it_will_have():
    one = budget(9, 1)
    assert one.consumed_ratio == Fraction(1) / Fraction("259.2")
    assert one.raw_consumed_ratio == 100  # of the ten events seen, one is a hundred times what is allowed


def test_more_events_than_scheduled_make_the_budget_larger():
    assert budget(999_000, 1_000).allowed_bad == 1_000


def test_an_overspent_budget_is_negative_and_not_clamped():
    one = budget(0, 2592)
    assert (one.remaining_ratio, one.remaining_seconds, one.health) == (-9, -9 * 2592, BudgetHealth.EXHAUSTED)


def test_before_the_first_event_nothing_is_spent_and_the_ratio_is_unknown():
    one = budget(0, 0)
    assert (one.remaining_ratio, one.raw_consumed_ratio, Counts().ratio) == (1, None, None)


@pytest.mark.parametrize(
    ("bad", "health"),
    [(0, "healthy"), (50, "healthy"), (51, "warning"), (75, "warning"), (76, "critical"), (99, "critical"), (100, "exhausted")],
)
def test_the_limits_of_health_are_inclusive(bad, health):
    assert budget(100_000 - bad, bad, seconds=10).health == health


@given(targets, st.integers(1, 10**9))
def test_burn_rate_one_for_the_whole_period_spends_exactly_all(target, scale):
    allowed = allowed_ratio(target)
    total, bad = allowed.denominator * scale, allowed.numerator * scale
    assert burn_rate(bad, total, target=target) == 1
    one = error_budget(Counts(total - bad, bad), target=target, window_seconds=total * 10, interval_ms=10_000)
    assert (one.consumed_ratio, one.remaining_ratio, one.remaining_seconds) == (1, 0, 0)


@given(targets, st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_bad_event_costs_and_no_good_event_does(target, good, bad):
    arguments = {"target": target, "window_seconds": MONTH, "interval_ms": 10_000}
    before = error_budget(Counts(good, bad), **arguments)
    after = error_budget(Counts(good, bad + 1), **arguments).remaining_ratio
    is_beyond_all = not good and bad >= MONTH // 10  # nothing but failures, more of them than were scheduled: it stays so
    assert after == before.remaining_ratio if is_beyond_all else after < before.remaining_ratio
    assert error_budget(Counts(good + 1, bad), **arguments).remaining_ratio >= before.remaining_ratio
    assert before.consumed_ratio + before.remaining_ratio == 1


@given(targets, st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_burn_rate_is_bounded_by_total_outage(target, good, bad):
    assert 0 <= burn_rate(bad, good + bad, target=target) <= 1 / allowed_ratio(target)


def test_no_float_decides():
    # 9990 of 10000 is the target, and 0.999 as a float is not: the budget is spent to the last event, not beyond.
    assert budget(9990, 10, seconds=100_000).remaining_ratio == 0
    assert burn_rate(144, 10_000, target=Decimal("0.999")) == Fraction("14.4")
    assert not burn_rate(144, 10_000, target=Decimal("0.999")) > Fraction("14.4")


@pytest.mark.parametrize("target", ["0", "1", "1.5", "-0.1", "NaN", "Infinity", "0.9999999999", "1e-400"])
def test_what_is_no_objective_is_refused(target):
    with pytest.raises(InvalidObjective):
        check_target(Decimal(target))


@pytest.mark.parametrize(
    ("errors", "minutes"),
    [  # SRE Workbook, table of detection times for 99.9 %: windows 1 h, 6 h, 1 d, 3 d
        ("1", ("0.864", "2.16", "4.32", "4.32")),
        ("0.1", ("8.64", "21.6", "43.2", "43.2")),
        ("0.02", ("43.2", "108", "216", "216")),
        ("0.01", (None, "216", "432", "432")),
        ("0.005", (None, None, "864", "864")),
        ("0.0015", (None, None, None, "2880")),
    ],
)
def test_detection_times_of_the_workbook(errors, minutes):
    rules = [("14.4", 3600), ("6", 21_600), ("3", 86_400), ("1", 259_200)]
    found = [
        detection_seconds(Fraction(factor), Fraction(errors), target=Decimal("0.999"), long_seconds=long)
        for factor, long in rules
    ]
    assert found == [None if one is None else Fraction(one) * 60 for one in minutes]


def test_what_is_spent_when_a_rule_fires():
    assert spent_when_fired(Fraction(6), long_seconds=21_600, period_seconds=MONTH) == Fraction(5, 100)
