"""From events to counts: compared with counting them one by one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_kit import NOW_MS, matcher

from dbre.capabilities.slo.ingest.aggregation import aggregate
from dbre.capabilities.slo.ingest.checking import MAX_WEIGHT, TimeLimits
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.histogram import LatencyHistogram

LIMITS = TimeLimits(oldest_ms=NOW_MS - 86_400_000, newest_ms=NOW_MS + 300_000)
NAMES = ["requests@orders", "requests@billing", "fast@orders", "tenants@orders/a", "tenants@orders/b", "nothing@orders"]
rows = st.lists(
    st.tuples(
        st.integers(NOW_MS - 90_000_000, NOW_MS + 400_000),
        st.booleans(),
        st.booleans(),
        st.one_of(st.none(), st.floats(0, 300), st.just(100.0), st.just(math.nan), st.just(-1.0)),
        st.integers(0, 5),
        st.sampled_from(NAMES),
    ),
    max_size=60,
)


def columns_of(found):
    at, good, valid, ms, weight, names = [list(one) for one in zip(*found, strict=True)] or [[]] * 6
    return EventColumns(at_ms=at, is_good=good, is_valid=valid, duration_ms=ms, weight=weight, slo=names)


def one_by_one(found):
    counts, rejected = {}, set()
    for row, (at, good, valid, ms, weight, name) in enumerate(found):
        is_wrong = not LIMITS.oldest_ms <= at <= LIMITS.newest_ms or weight < 1 or (ms is not None and not ms >= 0)
        if is_wrong or name.startswith("nothing"):
            rejected.add(row)
            continue
        if not valid:
            verdict = "excluded"
        elif not good:
            verdict = "bad"
        elif name.startswith("fast"):
            verdict = "excluded" if ms is None else "good" if ms <= 100 else "bad"
        else:
            verdict = "good"
        slot = counts.setdefault((name, at // 10_000), {"good": 0, "bad": 0, "excluded": 0})
        slot[verdict] += weight
    return counts, rejected


@given(rows)
def test_counts_are_those_of_counting_one_by_one(found):
    result = aggregate(columns_of(found), matcher(), limits=LIMITS)
    counts, rejected = one_by_one(found)
    told = {
        (f"{one.slo}@{one.cluster}" + (f"/{one.group}" if one.group else ""), one.slot): {
            "good": one.counts.good,
            "bad": one.counts.bad,
            "excluded": one.counts.excluded,
        }
        for one in result.counted
    }
    assert told == counts
    assert {one.row for one in result.rejections} == rejected
    assert result.rejected == len(rejected)
    assert result.accepted == len(found) - len(rejected)


@given(rows)
def test_histograms_hold_the_valid_durations_of_each_minute(found):
    expected = {}
    _, rejected = one_by_one(found)
    for row, (at, _, valid, ms, weight, name) in enumerate(found):
        if row not in rejected and valid and ms is not None:
            expected.setdefault((name, at // 60_000), LatencyHistogram()).add(ms, weight)
    result = aggregate(columns_of(found), matcher(), limits=LIMITS)
    told = {
        (f"{one.slo}@{one.cluster}" + (f"/{one.group}" if one.group else ""), one.minute): one.histogram
        for one in result.latencies
        if one.histogram.total
    }
    assert told == expected


def test_described_events_count_for_every_slo_that_matches():
    sets = ((("dbre.cluster", "orders"), ("service", "checkout")), (("dbre.cluster", "orders"), ("service", "other")))
    columns = EventColumns(at_ms=[NOW_MS] * 3, is_good=[True] * 3, attributes=[0, 1, None], attribute_sets=sets)
    result = aggregate(columns, matcher(), limits=LIMITS)
    assert [(one.slo, one.cluster, one.counts.good) for one in result.counted] == [("described", "orders", 1)]
    assert (result.accepted, result.unmatched, result.rejected) == (2, 1, 1)
    assert result.rejections[0].row == 2


def test_named_and_described_events_share_a_batch():
    sets = ((("dbre.cluster", "billing"), ("service", "cart")),)
    columns = EventColumns(
        at_ms=[NOW_MS] * 2, is_good=[True, False], slo=["requests@orders", None], attributes=[None, 0], attribute_sets=sets
    )
    counted = {one.slo: one.counts for one in aggregate(columns, matcher(), limits=LIMITS).counted}
    assert (counted["requests"].good, counted["described"].bad) == (1, 1)


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1])
def test_a_weight_that_cannot_be_is_told(weight):
    columns = EventColumns(at_ms=[NOW_MS], is_good=[True], weight=[weight], slo=["requests@orders"])
    result = aggregate(columns, matcher(), limits=LIMITS)
    assert result.counted == []
    assert result.rejections[0].reason.startswith(f"weight {weight} lies outside")


def test_a_batch_of_columns_of_different_lengths_is_refused():
    with pytest.raises(ValueError, match="differ in length"):
        aggregate(EventColumns(at_ms=[1, 2], is_good=[True]), matcher(), limits=LIMITS)
    with pytest.raises(ValueError, match="neither names SLOs"):
        aggregate(EventColumns(at_ms=[1], is_good=[True]), matcher(), limits=LIMITS)


def test_only_the_first_hundred_rejections_are_told_and_all_are_counted():
    columns = EventColumns(at_ms=[0] * 250, is_good=[True] * 250, slo=["requests@orders"] * 250)
    result = aggregate(columns, matcher(), limits=LIMITS)
    assert (result.rejected, len(result.rejections)) == (250, 100)
