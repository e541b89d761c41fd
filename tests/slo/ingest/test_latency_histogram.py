"""Histograms: exact where they add up, and within their error where they estimate."""

import math
import random

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.slo.ingest.histogram import SCALE, LatencyHistogram, bucket_of, bucket_start

RELATIVE_ERROR = (2 ** (2**-SCALE) - 1) / (2 ** (2**-SCALE) + 1)
durations = st.floats(min_value=0.002, max_value=3.6e6)
samples = st.lists(durations, max_size=60)


@given(durations)
def test_a_duration_lies_above_the_start_of_its_bucket_and_not_above_its_end(milliseconds):
    index = bucket_of(milliseconds)
    assert bucket_start(index) < milliseconds * (1 + 1e-12)
    assert milliseconds <= bucket_start(index + 1) * (1 + 1e-12)


def test_powers_of_two_are_the_upper_bounds_of_their_buckets():
    for exponent in range(-9, 22):
        assert bucket_of(2.0**exponent) == exponent * 2**SCALE - 1
        assert bucket_of(math.nextafter(2.0**exponent, math.inf)) == exponent * 2**SCALE


@given(samples, samples, samples)
def test_merging_is_exact_and_its_order_does_not_matter(first, second, third):
    left = LatencyHistogram.of(first)
    left.merge(LatencyHistogram.of(second))
    left.merge(LatencyHistogram.of(third))
    right = LatencyHistogram.of(third)
    right.merge(LatencyHistogram.of([*second, *first]))
    assert left == right == LatencyHistogram.of([*first, *second, *third])


@given(samples, st.integers(0, 5))
def test_a_histogram_comes_back_from_its_bytes(found, zero):
    histogram = LatencyHistogram.of(found)
    histogram.zero = zero
    assert LatencyHistogram.from_blob(histogram.as_blob()) == histogram


@pytest.mark.parametrize("blob", [b"", b"\x80", b"\x01\x02", b"\x01\x02\x03\x84"])
def test_damaged_bytes_are_no_histogram(blob):
    with pytest.raises(ValueError, match="middle"):
        LatencyHistogram.from_blob(blob)


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_as_near_to_the_true_one_as_promised(found, ratio):
    true = sorted(found)[max(math.ceil(ratio * len(found)), 1) - 1]
    estimate = LatencyHistogram.of(found).quantile(ratio)
    assert abs(estimate - true) <= RELATIVE_ERROR * true * (1 + 1e-9)


def test_it_agrees_with_ddsketch_on_a_long_tail():
    generator, oracle, ours = random.Random(7), DDSketch(relative_accuracy=0.0109), LatencyHistogram()
    for _ in range(20_000):
        value = generator.lognormvariate(3, 1.2)
        oracle.add(value)
        ours.add(value)
    for ratio in (0.1, 0.5, 0.9, 0.99, 0.999):
        theirs = oracle.get_quantile_value(ratio)
        assert abs(ours.quantile(ratio) - theirs) <= 2.3 * RELATIVE_ERROR * theirs


@given(st.lists(durations, max_size=100), durations)
def test_how_many_took_no_longer_lies_between_its_bounds(found, limit):
    least, most = LatencyHistogram.of(found).at_most(limit)
    assert least <= sum(one <= limit for one in found) <= most


@given(st.lists(durations, max_size=50))
def test_a_finer_histogram_is_merged_without_loss(found):
    finer = {}
    for one in found:
        mantissa, exponent = math.frexp(one)
        index = math.ceil(math.log2(2 * mantissa) * 256) - 1 + (exponent - 1) * 256
        finer[index] = finer.get(index, 0) + 1
    histogram = LatencyHistogram()
    histogram.merge_scaled(finer, scale=8)
    assert histogram.total == len(found)
    assert all(
        abs(a - b) <= 1 for a, b in zip(sorted(histogram.buckets), sorted({bucket_of(one) for one in found}), strict=False)
    )


def test_what_is_coarser_cannot_be_merged():
    with pytest.raises(ValueError, match="coarser"):
        LatencyHistogram().merge_scaled({0: 1}, scale=SCALE - 1)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match="no duration"):
        LatencyHistogram().add(value)


def test_nothing_has_no_percentile_and_a_microsecond_counts_as_none():
    assert LatencyHistogram().quantile(0.5) is None
    assert LatencyHistogram.of([0.0, 0.001]).quantile(0.99) == 0.0
    assert LatencyHistogram.of([0.0, 0.001]).at_most(0.001) == (2, 2)
