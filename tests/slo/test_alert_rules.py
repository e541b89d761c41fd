"""Which rules there are, whether they can fire, and when they do."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.alert_rules import BurnRule, Severity, check_reachable, default_rules, judge, largest_reachable
from dbre.capabilities.slo.burn_rate import spent_when_fired
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.errors import InvalidRule

DAY = 86_400
PAGE = default_rules(30 * DAY)[0]
THREE_NINES = Decimal("0.999")


def test_thirty_days_have_the_rules_of_the_workbook():
    rules = default_rules(30 * DAY)
    assert [(str(one.severity), one.factor, one.long_seconds, one.short_seconds) for one in rules] == [
        ("page", Fraction("14.4"), 3_600, 300),
        ("page", 6, 21_600, 1_800),
        ("ticket", 3, DAY, 7_200),
        ("ticket", 1, 3 * DAY, 21_600),
    ]
    assert [one.name for one in rules] == ["page-1h", "page-6h", "ticket-1d", "ticket-3d"]


def test_twenty_eight_days_have_other_factors():
    factors = [one.factor for one in default_rules(28 * DAY)]
    assert factors == [Fraction("13.44"), Fraction("5.6"), Fraction("2.8"), Fraction(28, 30)]


@given(st.integers(600, 400 * DAY))
def test_whatever_the_period_a_rule_fires_when_its_part_of_the_budget_is_spent(period):
    for rule in default_rules(period):
        assert 0 < rule.short_seconds < rule.long_seconds <= period
        assert rule.long_seconds % 10 == rule.short_seconds % 10 == 0
        spent = spent_when_fired(rule.factor, long_seconds=rule.long_seconds, period_seconds=period)
        assert spent in (Fraction(2, 100), Fraction(5, 100), Fraction(10, 100))
    assert len({rule.name for rule in default_rules(period)}) == len(default_rules(period))


@pytest.mark.parametrize(("short", "normal", "long"), [(23, 24, 25), (167, 168, 169), (719, 720, 743)])
def test_rules_keep_their_names_when_clocks_change(short, normal, long):
    names = [[rule.name for rule in default_rules(hours * 3600)] for hours in (short, normal, long)]
    assert names[0] == names[1] == names[2]


def test_a_rule_that_no_outage_could_fire_is_refused_with_the_largest_factor():
    with pytest.raises(InvalidRule, match=r"page-1h can never fire: with a target of 90 % .* burns 10 times") as caught:
        check_reachable(PAGE, target=Decimal("0.9"), period_seconds=30 * DAY)
    assert caught.value.hint is not None
    assert "9.99" in caught.value.hint
    check_reachable(PAGE, target=Decimal("0.99"), period_seconds=30 * DAY)


@given(st.integers(1, 10**5 - 1).map(lambda part: Decimal(part).scaleb(-5)))
def test_the_largest_reachable_factor_is_reachable_and_a_hundredth_more_is_not(target):
    largest = Fraction(largest_reachable(target=target))
    assert largest * (1 - Fraction(target)) < 1
    assert (largest + Fraction(1, 100)) * (1 - Fraction(target)) >= 1


def verdict(
    long: Counts, short: Counts, *, rule: BurnRule = PAGE, row: int = 0, scheduled: int | None = None, guard: bool = True
):
    return judge(
        rule,
        long=long,
        short=short,
        target=THREE_NINES,
        scheduled_long=Fraction(long.observed if scheduled is None else scheduled),
        trailing_bad=row,
        has_guard=guard,
    )


def test_both_windows_must_burn_strictly_more_than_the_factor():
    exactly, more = Counts(9_856, 144), Counts(9_855, 145)
    assert verdict(more, more).is_met is True
    assert verdict(exactly, more).is_met is False
    assert verdict(more, exactly).is_met is False
    assert verdict(more, Counts(30, 0)).is_met is False


def test_without_a_valid_event_in_the_short_window_nobody_can_tell():
    assert verdict(Counts(0, 100), Counts(missed=30)).is_met is None
    assert verdict(Counts(), Counts()).is_met is None


def test_the_first_failures_of_a_new_service_do_not_look_like_a_ruined_hour():
    few = Counts(good=7, bad=3)
    assert verdict(few, few, row=3, scheduled=360, guard=False).is_met is False  # 3 of 360 burn 8.3 times
    assert verdict(few, few, row=3, guard=False).is_met is True  # 3 of 10 would burn 300 times
    six = Counts(good=0, bad=6)
    assert verdict(six, six, row=6, scheduled=360).is_met is True  # 6 of 360 burn 16.7 times


def test_missed_probes_do_not_dilute_an_outage():
    long, short = Counts(bad=6, missed=354), Counts(bad=6, missed=24)
    assert verdict(long, short, row=6, scheduled=360).long_burn == 1000


def test_the_guard_waits_for_more_than_chance_unless_failures_come_in_a_row():
    quiet = Counts(good=57, bad=3)  # one an minute: 3 of 60 burn 50 times, and are within chance of nothing
    assert verdict(Counts(good=59, bad=1), Counts(good=4, bad=1)).is_guarded is True
    assert verdict(Counts(good=59, bad=1), Counts(good=4, bad=1)).is_met is False
    assert verdict(Counts(good=59, bad=1), Counts(good=4, bad=1), guard=False).is_met is True
    assert verdict(quiet, Counts(good=2, bad=3), row=0).is_met is False
    five = BurnRule(name="x", severity=Severity.PAGE, factor=Fraction(1), long_seconds=3600, short_seconds=300)
    rare = Counts(good=3_000, bad=9)  # 3 expected: 9 is within chance
    assert verdict(rare, Counts(bad=5), rule=five, row=4).is_guarded is True
    assert verdict(rare, Counts(bad=5), rule=five, row=5).is_met is True
