import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from otlp_kit import SECOND, KeepingIntake, histogram, metrics, now_nano, put, receiver_for, total

from dbre.capabilities.slo.ingest.otlp.points import BadPoint, Tally, read_histogram, read_number

BOUNDS = [0.001, 0.01, 0.1]


async def _send(receiver, *found: Metric):
    return await receiver.metrics(metrics(*found).SerializeToString(), is_json=False, producer="shop")


def _totals(intake: KeepingIntake) -> dict[float | None, int]:
    counted: dict[float | None, int] = {}
    for _, _, duration, weight, _ in intake.events():
        counted[duration] = counted.get(duration, 0) + weight
    return counted


async def test_each_bucket_counts_as_slow_as_its_upper_bound():
    intake, now = KeepingIntake(), now_nano()
    await _send(receiver_for(intake), histogram([5, 3, 0, 2], BOUNDS, start=now - SECOND, at=now))
    assert _totals(intake) == {1.0: 5, 10.0: 3, 86_400_000.0: 2}


async def test_points_with_an_error_are_judged_by_its_code():
    intake, now = KeepingIntake(), now_nano()
    await _send(
        receiver_for(intake),
        histogram([1, 0, 0, 0], BOUNDS, start=now - SECOND, at=now),
        histogram([2, 0, 0, 0], BOUNDS, start=now - SECOND, at=now, **{"error.type": "UniqueViolation"}),
        histogram([4, 0, 0, 0], BOUNDS, start=now - SECOND, at=now, **{"error.type": "57P01"}),
    )
    assert [(good, valid, weight) for good, valid, _, weight, _ in intake.events()] == [
        (True, True, 1),
        (False, False, 2),
        (False, True, 4),
    ]


async def test_a_delta_point_that_is_sent_again_counts_once():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    point = histogram([5, 0, 0, 0], BOUNDS, start=now - SECOND, at=now)
    await _send(receiver, point)
    await _send(receiver, point, point)
    assert _totals(intake) == {1.0: 5}


async def test_a_cumulative_stream_counts_what_is_new():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    start = now + SECOND  # after this receiver began: all of it is new
    for step, counts in enumerate(([5, 0, 0, 0], [5, 2, 0, 0], [5, 2, 0, 0], [6, 2, 0, 0]), start=1):
        await _send(receiver, histogram(counts, BOUNDS, start=start, at=start + step * SECOND, is_delta=False))
    assert _totals(intake) == {1.0: 6, 10.0: 2}


async def test_an_old_cumulative_stream_begins_to_count_at_its_second_point():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    for step, value in enumerate((1_000, 1_010, 1_007)):  # the last is a restart that nobody announced
        await _send(receiver, total(value, start=now - 3_600 * SECOND, at=now + step * SECOND))
    assert _totals(intake) == {None: 10 + 1_007}


async def test_a_restart_counts_whole_and_an_overtaken_point_not_at_all():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    start = now + SECOND
    await _send(receiver, total(10, start=start, at=start + SECOND))
    await _send(receiver, total(3, start=start + 2 * SECOND, at=start + 3 * SECOND))
    await _send(receiver, total(11, start=start, at=start + 4 * SECOND))  # of the process that ended
    await _send(receiver, total(3, start=start + 2 * SECOND, at=start + 3 * SECOND))
    assert _totals(intake) == {None: 13}


async def test_a_point_that_could_not_be_stored_is_counted_with_the_next():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)

    async def refuse() -> None:
        raise OSError("full")

    start = now + SECOND
    await _send(receiver, total(10, start=start, at=start + SECOND))
    intake.before = refuse
    with pytest.raises(OSError, match="full"):
        await _send(receiver, total(15, start=start, at=start + 2 * SECOND))
    intake.before = None
    await _send(receiver, total(17, start=start, at=start + 3 * SECOND))
    assert _totals(intake) == {None: 17}


async def test_histograms_with_other_bounds_begin_anew_without_counting_twice():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    start = now + SECOND
    await _send(receiver, histogram([9, 0, 0, 0], BOUNDS, start=start, at=start + SECOND, is_delta=False))
    await _send(receiver, histogram([9, 0], [0.5], start=start, at=start + 2 * SECOND, is_delta=False))
    await _send(receiver, histogram([10, 0], [0.5], start=start, at=start + 3 * SECOND, is_delta=False))
    assert _totals(intake) == {1.0: 9, 500.0: 1}


async def test_exponential_histograms_are_exact_across_scales():
    intake, now = KeepingIntake(), now_nano()
    receiver = receiver_for(intake)
    start = now + SECOND

    def point(scale: int, offset: int, counts: list[int], at: int) -> Metric:
        metric = Metric(name="db.client.operation.duration", unit="s")
        metric.exponential_histogram.aggregation_temporality = 2
        one = metric.exponential_histogram.data_points.add(start_time_unix_nano=start, time_unix_nano=at, scale=scale)
        one.positive.offset, one.count = offset, sum(counts)
        one.positive.bucket_counts.extend(counts)
        put(one.attributes, {"db.system.name": "postgresql"})
        return metric

    await _send(receiver, point(1, -2, [1, 2, 3, 4], start + SECOND))  # bounds 2^(-1/2), 1, 2^(1/2), 2
    await _send(receiver, point(0, -1, [5, 8], start + 2 * SECOND))  # bounds 1 and 2: 3 and 7 before
    assert _totals(intake) == pytest.approx({2**-0.5 * 1000: 1, 1000.0: 2 + 2, 2**0.5 * 1000: 3, 2000.0: 4 + 1})


async def test_gauges_and_counters_that_go_down_count_nothing():
    intake, now = KeepingIntake(), now_nano()
    metric = Metric(name="db.client.connection.count")
    metric.sum.aggregation_temporality = 2
    put(metric.sum.data_points.add(as_int=4, time_unix_nano=now).attributes, {"db.system.name": "postgresql"})
    gauge = Metric(name="temperature")
    gauge.gauge.data_points.add(as_double=3.5, time_unix_nano=now)
    taken = await _send(receiver_for(intake), metric, gauge)
    assert taken.rejected == 0
    assert not intake.batches


def _histogram_point(counts: list[int], bounds: list[float], count: int) -> HistogramDataPoint:
    point = HistogramDataPoint(count=count)
    point.bucket_counts.extend(counts)
    point.explicit_bounds.extend(bounds)
    return point


@pytest.mark.parametrize(
    ("counts", "bounds", "count", "match"),
    [
        ([1, 2, 3], [1.0], 6, "3 counts for 1 bounds"),  # OpenTelemetry's own examples/metrics.json
        ([1, 2], [1.0], 4, "hold 3 events and whose count is 4"),
        ([1, 1, 1], [2.0, 1.0], 3, "do not increase"),
        ([1, 1, 1], [1.0, float("nan")], 3, "do not increase"),
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused(counts, bounds, count, match):
    with pytest.raises(BadPoint, match=match):
        read_histogram(_histogram_point(counts, bounds, count))


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), -1.0])
def test_a_sum_that_is_no_count_is_refused(value):
    with pytest.raises(BadPoint):
        read_number(NumberDataPoint(as_double=value))


async def test_bad_points_are_left_out_and_the_sender_told():
    intake, now = KeepingIntake(), now_nano()
    bad = histogram([1, 2], BOUNDS, start=now - SECOND, at=now)
    unspecified = total(3, start=now - SECOND, at=now)
    unspecified.sum.aggregation_temporality = 0
    good = histogram([1, 0, 0, 0], BOUNDS, start=now - SECOND, at=now)
    taken = await _send(receiver_for(intake), bad, unspecified, good)
    assert taken.rejected == 2
    assert "temporality" in taken.message
    assert _totals(intake) == {1.0: 1}


_COUNTS = st.dictionaries(st.integers(-300, 300), st.integers(1, 1_000), max_size=20)


@settings(max_examples=60, deadline=None)
@given(earlier=_COUNTS, added=_COUNTS, drop=st.integers(0, 6))
def test_a_difference_over_a_change_of_scale_holds_exactly_what_was_added(earlier, added, drop):
    first = Tally(earlier, scale=5)
    second = Tally({one: earlier.get(one, 0) + added.get(one, 0) for one in earlier.keys() | added.keys()}, scale=5)
    assert second.downscaled(5 - drop).minus(first) == Tally(added, scale=5).downscaled(5 - drop)
