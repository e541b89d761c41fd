"""A replay decides what the engine decides: compared slot by slot with the engine's own functions over random histories."""

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import cluster, definition

from dbre.capabilities.slo.alert_rules import BudgetRule, RuleKind, Severity
from dbre.capabilities.slo.alert_state import TrackedAlert, Transition
from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.budgeting_method import NoSliceData, TimeSlices
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Policies, SloInstance
from dbre.capabilities.slo.evaluation import changes_of
from dbre.capabilities.slo.series import SlotSeries, slot_start
from dbre.capabilities.slo.simulation.replay import Replay, replay
from dbre.capabilities.slo.simulation.variants import simulate, variants_of
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.sources import EventSource
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow

START = 179_000_000  # a slot in 2026
EVENTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource())
runs = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([(1, 0), (0, 1), (3, 1), (20, 1), (200, 0), (0, 30), (0, 0), (0, 0)])),
    min_size=1, max_size=25,
)  # fmt: skip


def series_of(pieces: list[tuple[int, tuple[int, int]]], start: int = START) -> SlotSeries:
    series, at = SlotSeries(), start
    for length, (good, bad) in pieces:
        series.add(at, Counts(good, bad), length=length)
        at += length
    return series


def by_the_engine(
    instance: SloInstance, series: SlotSeries, *, start: int, end: int, interval_ms: int, kinds: tuple[str, ...] = ("burn",)
) -> list[tuple]:
    """Every slot through the engine's own assessment and state machine; rules about the budget each minute."""
    judged = None
    if instance.definition.slices is not None:
        judged = SliceSeries(instance.definition.slices)
        judged.follow(series, end)
    measured = Measured(
        instance=instance, series=series, recent=series, interval_ms=interval_ms, silent_seconds=0.0,
        lost_after_seconds=86_400.0, judged=judged, judged_recent=judged,
    )  # fmt: skip
    tracked: dict[str, TrackedAlert] = {}
    found, numbers = [], itertools.count()
    for slot in range(start, end):
        now = slot_start(slot) + timedelta(seconds=9)
        status = assess(replace(measured, tracked=tracked), now)
        due = kinds if slot % 6 == 5 else ("burn",)
        has_budget_page = any(one.is_active and name == "spent" for name, one in tracked.items())
        rules = [one for one in status.alerts if one.kind in due or (has_budget_page and one.rule == "spent")]
        status = replace(status, alerts=tuple(rules))
        for change in changes_of(status, now, new_id=lambda: str(next(numbers))):
            tracked[change.key.rule] = change.tracked
            if change.transition is not None:
                found.append((slot_start(slot + 1), change.key.rule, change.transition))
    return sorted(found)


def told(found: Replay) -> list[tuple]:
    fired = [(one.fired_at, one.rule, Transition.FIRED) for one in found.alerts]
    ended = [(one.resolved_at, one.rule, Transition.RESOLVED) for one in found.alerts if one.resolved_at is not None]
    return sorted(fired + ended)


@settings(max_examples=25, deadline=None)
@given(
    pieces=runs,
    target=st.sampled_from(["0.9", "0.99", "0.999"]),
    sli=st.sampled_from([None, EVENTS]),
    guard=st.booleans(),
    slices=st.sampled_from([None, None, TimeSlices(seconds=10, target=Decimal("0.9"), no_data=NoSliceData.BAD)]),
    window=st.sampled_from([RollingWindow(seconds=86_400), CalendarWindow(unit=CalendarUnit.DAY, time_zone="UTC")]),
)
def test_a_replay_fires_and_resolves_when_the_engine_does(pieces, target, sli, guard, slices, window) -> None:
    given_sli = {} if sli is None else {"sli": sli}
    rules = definition(target="0.9999", window=window).rules_for(86_400)
    one = definition(
        target=target,
        window=window,
        rules=tuple(replace(rule, factor=min(rule.factor, 5), for_seconds=20 * index) for index, rule in enumerate(rules)),
        policies=Policies(has_low_traffic_guard=guard),
        slices=slices,
        **given_sli,
    )
    instance = SloInstance(definition=one, cluster=cluster())
    series = series_of(pieces)
    end = START + sum(length for length, _ in pieces) + 200
    interval_ms = 10_000 if sli is None else 0
    found = replay(instance, series, start=START, end=end, interval_ms=interval_ms)
    assert told(found) == by_the_engine(instance, series, start=START, end=end, interval_ms=interval_ms)


def a_month(outage_slots: int) -> tuple[SloInstance, SlotSeries, int]:
    """A month of good probes with one outage on its tenth day."""
    instance = SloInstance(definition=definition(), cluster=cluster())
    outage = 10 * 8640
    pieces = [(outage, (1, 0)), (outage_slots, (0, 1)), (20 * 8640 - outage_slots, (1, 0))]
    return instance, series_of(pieces), START + outage


def test_one_outage_is_one_page_with_the_time_at_which_it_was_seen() -> None:
    instance, series, outage = a_month(60)
    found = replay(instance, series, start=START, end=START + 30 * 8640, interval_ms=10_000)
    (page,) = found.pages
    assert (page.rule, page.severity) == ("page-1h", Severity.PAGE)
    assert page.errors_since == slot_start(outage)
    assert page.detection_seconds == 60  # the sixth bad probe: 6/360 is more than 14.4 times 1/1000
    assert page.resolved_at is not None
    assert page.resolved_at > slot_start(outage + 60)
    assert found.status.counts == Counts(good=30 * 8640 - 60, bad=60)
    assert found.status.budget.remaining_ratio == Fraction(83, 108)  # 60 of 259.2 are spent


def test_history_before_the_start_is_seen_and_alerts_of_nobody() -> None:
    instance, series, outage = a_month(60)
    found = replay(instance, series, start=outage + 30, end=outage + 600, interval_ms=10_000)
    assert found.pages[0].fired_at == slot_start(outage + 31)
    assert found.pages[0].errors_since == slot_start(outage)
    assert replay(instance, series, start=outage + 40_000, end=outage + 90_000, interval_ms=10_000).alerts == ()


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_slow_leak_is_a_ticket_unless_tickets_are_not_asked_for(is_silent: bool) -> None:
    instance = SloInstance(definition=definition(sli=EVENTS), cluster=cluster())
    series = series_of([(4 * 8640, (1000, 2))])
    found = replay(instance, series, start=START + 3 * 8640 + 1, end=START + 4 * 8640, interval_ms=0, is_silent=is_silent)
    assert found.pages == ()
    assert [one.rule for one in found.tickets] == ([] if is_silent else ["ticket-3d"])


def test_nothing_at_all_is_no_alert() -> None:
    instance = SloInstance(definition=definition(), cluster=cluster())
    found = replay(instance, SlotSeries(), start=START, end=START + 8640, interval_ms=10_000)
    assert found.alerts == ()
    assert found.status.ratio is None


@settings(max_examples=4, deadline=None, derandomize=True)  # each is two simulated days, slot by slot
@given(
    pieces=runs,
    target=st.sampled_from(["0.8", "0.9", "0.99"]),
    sli=st.sampled_from([None, EVENTS]),
    slices=st.sampled_from([None, None, TimeSlices(seconds=10, target=Decimal("0.9"), no_data=NoSliceData.BAD)]),
    window=st.sampled_from([RollingWindow(seconds=3_600), CalendarWindow(unit=CalendarUnit.DAY, time_zone="UTC")]),
)
def test_rules_about_the_budget_are_replayed_by_the_minute(pieces, target, sli, slices, window) -> None:
    budget_rules = (
        BudgetRule(name="spent", kind=RuleKind.BUDGET, severity=Severity.PAGE, threshold=Fraction(0)),
        BudgetRule(name="half", kind=RuleKind.BUDGET, severity=Severity.TICKET, threshold=Fraction(1, 2)),
        BudgetRule(name="soon", kind=RuleKind.EXHAUSTION, severity=Severity.TICKET, threshold=Fraction(600)),
    )
    given_sli = {} if sli is None else {"sli": sli}
    one = definition(target=target, window=window, rules=(), budget_rules=budget_rules, slices=slices, **given_sli)
    instance, series = SloInstance(definition=one, cluster=cluster()), series_of(pieces)
    asked = {"start": START, "end": START + sum(length for length, _ in pieces) + 500, "interval_ms": 0 if sli else 10_000}
    found = replay(instance, series, **asked)
    assert all(alert.errors_since is None for alert in found.alerts)
    ours, engines = told(found), by_the_engine(instance, series, **asked, kinds=("burn", "budget", "exhaustion"))
    for rule in ("spent", "half", "soon"):
        mine, its = ([one for one in every if one[1] == rule] for every in (ours, engines))
        assert [transition for *_, transition in mine] == [transition for *_, transition in its]
        assert all(abs(one[0] - other[0]) <= timedelta(minutes=1) for one, other in zip(mine, its, strict=True))


def test_what_corrections_take_out_neither_pages_nor_spends() -> None:
    instance, series, outage = a_month(600)
    (configured,) = variants_of(instance.definition, targets=[], windows=[], rules=[])
    asked = {"start": START, "end": START + 30 * 8640, "interval_ms": 10_000}
    as_it_was = simulate(configured, instance, series, **asked)
    corrected = simulate(configured, instance, series, **asked, corrected=((outage, outage + 600),))
    assert len(as_it_was.replayed.pages) == 1
    assert as_it_was.replayed.status.budget.remaining_ratio < 0
    assert (corrected.replayed.alerts, corrected.chance_pages) == ((), ())
    assert corrected.replayed.status.budget.remaining_ratio == 1
    assert corrected.replayed.status.corrected_seconds == 6_000
