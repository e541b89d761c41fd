"""Every scheduled operation is counted once, and an outage is exactly a run of failures on the schedule."""

import itertools
from array import array
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import UsageError
from dbre.lab.load.model import LoadKind, LoadPlan
from dbre.lab.load.tally import FAILED, MISSED, SUCCEEDED, Tally, quantile

START = datetime(2026, 11, 21, tzinfo=UTC)
outcomes = st.lists(st.sampled_from([SUCCEEDED, FAILED, MISSED]), max_size=80)


def tally_of(fates: list[int], *, interval: float = 0.5, offset: float = 0.25) -> Tally:
    tally = Tally(LoadKind.WRITE, offset_seconds=offset, interval_seconds=interval, late_seconds=0.1)
    for fate in fates:
        number = tally.begin()
        if fate == SUCCEEDED:
            tally.succeed(number, 0.01 * (number + 1))
        elif fate == FAILED:
            tally.fail(number, f"reason {number}")
        else:
            tally.miss(number)
    return tally


@given(outcomes)
def test_every_operation_is_counted_once(fates: list[int]) -> None:
    summary = tally_of(fates).summary(started_at=START, end_seconds=1000)
    assert summary.scheduled == len(fates) == summary.succeeded + summary.failed + summary.missed
    assert sum(one.failed_operations for one in summary.outages) == summary.failed
    assert sum(one.succeeded for one in summary.seconds) == summary.succeeded
    assert sum(one.failed for one in summary.seconds) == summary.failed
    assert sum(one.late for one in summary.seconds) == summary.late
    assert sum(count for _, count in summary.reasons) == summary.failed


@given(outcomes)
def test_outages_hold_all_failures_and_no_success_and_never_touch(fates: list[int]) -> None:
    tally = tally_of(fates)
    end = tally.due(len(fates))
    outages = tally.summary(started_at=START, end_seconds=end).outages
    moments = [START + timedelta(seconds=tally.due(number)) for number in range(len(fates))]
    for fate, at in zip(fates, moments, strict=True):
        inside = [one for one in outages if one.started_at <= at < one.ended_at]
        assert len(inside) <= 1
        if fate == FAILED:
            assert inside
        if fate == SUCCEEDED:
            assert not inside
    for before, after in itertools.pairwise(outages):
        assert before.ended_at < after.started_at


def test_an_outage_lasts_from_the_first_failure_due_to_the_first_success_due() -> None:
    summary = tally_of([SUCCEEDED, FAILED, MISSED, FAILED, SUCCEEDED, FAILED]).summary(started_at=START, end_seconds=3.5)
    first, second = summary.outages
    assert (first.started_at - START).total_seconds() == 0.75
    assert (first.ended_at - START).total_seconds() == 2.25
    assert (first.failed_operations, first.reason, first.seconds) == (2, "reason 1", 1.5)
    assert (second.ended_at - START).total_seconds() == 3.5


def test_pending_operations_are_not_counted_yet() -> None:
    tally = tally_of([SUCCEEDED])
    tally.begin()
    summary = tally.summary(started_at=START, end_seconds=1)
    assert (summary.scheduled, summary.succeeded, summary.failed, summary.missed) == (1, 1, 0, 0)


def test_nothing_gives_no_latency_instead_of_zero() -> None:
    summary = tally_of([FAILED]).summary(started_at=START, end_seconds=1)
    assert (summary.p50_seconds, summary.p99_seconds, summary.max_seconds) == (None, None, None)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_value_that_covers_its_share(values: list[float], ratio: float) -> None:
    ordered = array("d", sorted(values))
    found = quantile(ordered, ratio)
    assert found is not None
    assert sum(value <= found for value in values) >= ratio * len(values)
    assert sum(value < found for value in values) < ratio * len(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", 0.0),
        ("rate", -1.0),
        ("rate", 5001.0),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("duration_seconds", 0.0),
        ("duration_seconds", 8 * 86_400.0),
        ("deadline_seconds", 0.0),
        ("deadline_seconds", 601.0),
        ("connections", 0),
        ("connections", 91),
    ],
)
def test_a_plan_that_is_not_possible_is_refused_with_its_limit(field: str, value: float) -> None:
    with pytest.raises(UsageError, match="not possible: "):
        LoadPlan(**{field: value})  # type: ignore[arg-type]
