"""Incidents as key figures: what is undefined is no number, and what overlaps is counted once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_kit import SPAN, START, at, incident

from dbre.capabilities.report.documents import TargetsDocument
from dbre.capabilities.report.kpi import kpis_of
from dbre.capabilities.report.metrics_of import kpi_metrics
from dbre.capabilities.report.span import Span, covered, week_of
from dbre.capabilities.report.statistics import Trend, summarize, trend_of
from dbre.core.errors import UsageError

HOUR = 3600.0


def test_each_time_is_measured_from_its_own_moment() -> None:
    found = kpis_of([incident("a", 1, detected=1.1, acknowledged=1.2, mitigated=1.5, resolved=2)], SPAN)
    means = [found.to_detect, found.to_acknowledge, found.to_mitigate, found.to_resolve, found.detect_to_resolve]
    assert [round(one.mean) for one in means if one is not None] == [360, 360, 1800, 3600, 3240]


def test_without_incidents_nothing_is_defined_and_nothing_is_zero() -> None:
    found = kpis_of([], SPAN)
    assert (found.incidents, found.impact_seconds, found.uptime_seconds) == (0, 0.0, SPAN.seconds)
    assert found.between_failures_seconds is None
    assert found.to_resolve is None
    assert found.availability_ratio is None
    rows = {one.name: one for one in kpi_metrics(found, found, TargetsDocument())}
    assert (rows["mtbf_seconds"].value, rows["mtbf_seconds"].is_met) == (None, None)
    assert rows["mtbf_seconds"].note == "no failure: at least 604800 s"


def test_time_between_failures_is_uptime_by_failures_and_overlaps_count_once() -> None:
    found = kpis_of([incident("a", 10, resolved=14), incident("b", 12, resolved=16), incident("c", 100, resolved=101)], SPAN)
    assert found.impact_seconds == 7 * HOUR
    assert found.between_failures_seconds == (168 - 7) * HOUR / 3
    assert found.to_resolve is not None
    assert found.to_resolve.mean == pytest.approx(3 * HOUR)
    assert found.availability_ratio == pytest.approx((161 / 3) / (161 / 3 + 3))


def test_an_incident_from_before_takes_uptime_but_is_no_failure_of_this_span() -> None:
    found = kpis_of([incident("old", -5, resolved=2), incident("open", 160)], SPAN)
    assert (found.incidents, found.unresolved) == (1, 1)
    assert found.impact_seconds == (2 + 8) * HOUR
    assert found.to_resolve is None


def test_users_suffer_until_it_is_mitigated_not_until_it_is_closed() -> None:
    assert kpis_of([incident("a", 1, mitigated=2, resolved=30)], SPAN).impact_seconds == HOUR


def test_a_clock_that_was_wrong_gives_no_negative_times() -> None:
    found = kpis_of([incident("a", 2, detected=1, resolved=3)], SPAN)
    assert found.to_detect is not None
    assert found.to_detect.mean == 0.0


def test_a_cluster_has_its_own_numbers() -> None:
    facts = [incident("a", 1, resolved=2), incident("b", 1, resolved=2, cluster="users")]
    assert kpis_of(facts, SPAN, cluster="users").incidents == 1
    assert kpis_of(facts, SPAN).incidents == 2


def test_summaries_are_the_same_each_time_and_hold_the_mean() -> None:
    values = [60.0, 61, 90, 200, 4000]
    found = summarize(values)
    assert found == summarize(reversed(values))
    assert found is not None
    assert (found.median, found.p90) == (90, 4000)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high
    assert summarize([]) is None
    single = summarize([5])
    assert single is not None
    assert (single.low, single.high) == (None, None)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    import random

    source, hits = random.Random(7), 0
    for _ in range(200):
        found = summarize([source.gauss(100, 20) for _ in range(40)])
        assert found is not None
        hits += found.low <= 100 <= found.high
    assert 180 <= hits <= 199  # 95 % of 200 is 190; the percentile bootstrap is a little narrow


def test_a_trend_is_said_only_where_it_is_no_chance() -> None:
    assert trend_of(summarize([10, 500]), summarize([20, 490])) is Trend.UNCLEAR
    assert trend_of(summarize([10, 11, 12]), summarize([500, 510, 490])) is Trend.BETTER
    assert trend_of(summarize([500, 510, 490]), summarize([10, 11, 12])) is Trend.WORSE
    assert trend_of(summarize([1]), summarize([2])) is None
    assert trend_of(None, summarize([2, 3])) is None


@given(st.lists(st.tuples(st.integers(-50, 250), st.integers(0, 80)), max_size=12))
@settings(max_examples=200, deadline=None)
def test_covered_time_is_that_of_the_hours_that_lie_in_any_interval(given: list[tuple[int, int]]) -> None:
    intervals = [(at(start), at(start + length)) for start, length in given]
    hours = {hour for start, length in given for hour in range(start, start + length) if 0 <= hour < 168}
    assert covered(intervals, SPAN) == len(hours) * HOUR


def test_weeks_are_those_of_iso_and_the_present_one_ends_now() -> None:
    now = datetime(2027, 1, 2, 12, tzinfo=UTC)  # a Saturday of 2026-W53
    assert week_of(None, now) == Span(since=datetime(2026, 12, 21, tzinfo=UTC), until=datetime(2026, 12, 28, tzinfo=UTC))
    assert week_of("2026-W53", now).until == now
    for wrong in ("2026-W54", "2026W01", "2026-47", "W1", "2027-W01"):
        with pytest.raises(UsageError):
            week_of(wrong, now)
    assert START.weekday() == 0
    assert SPAN.before.until - SPAN.before.since == timedelta(days=7)
