"""Counts that a sender made itself: one number for thousands of events."""

from collections.abc import Sequence

import msgspec

from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.ingest.aggregation import Aggregate, LatencyPart
from dbre.capabilities.slo.ingest.checking import MAX_WEIGHT, Rejection, TimeLimits
from dbre.capabilities.slo.ingest.histogram import SCALE, LatencyHistogram
from dbre.capabilities.slo.ingest.matching import Matcher

__all__ = ["Counted", "counts_of"]

_MAX_BUCKETS = 2_000
_MAX_SCALE = 20  # of OpenTelemetry
_SLOT_MS, _MINUTE_MS = 10_000, 60_000


class _Histogram(msgspec.Struct):
    """As OpenTelemetry writes exponential ones: counts of adjacent buckets from ``offset`` on; values in milliseconds."""

    scale: int
    offset: int
    counts: list[int]
    zero: int = 0


class Counted(msgspec.Struct):
    """Events that the sender has counted: of the slot of 10 s in which ``ts`` lies."""

    ts: int
    slo: str
    good: int = 0
    bad: int = 0
    excluded: int = 0
    histogram: _Histogram | None = None


def counts_of(counts: Sequence[Counted], matcher: Matcher, *, limits: TimeLimits) -> Aggregate:
    """What a sender has counted itself, in the form of a batch of events; rows that contradict themselves are left out."""
    found = Aggregate()
    for row, one in enumerate(counts):
        target = matcher.named(one.slo)
        problem = target if isinstance(target, str) else _problem(one, limits)
        if problem is not None:
            found.rejected += 1
            found.rejections.append(Rejection(row, problem))
            continue
        assert not isinstance(target, str)  # noqa: S101 - a text is a problem
        found.accepted += 1
        place = target.slo, target.cluster, target.group
        found.counted.append(CountedSlot(*place, one.ts // _SLOT_MS, Counts(good=one.good, bad=one.bad, excluded=one.excluded)))
        if one.histogram is not None:
            histogram = LatencyHistogram()
            buckets = {one.histogram.offset + index: times for index, times in enumerate(one.histogram.counts) if times}
            histogram.merge_scaled(buckets, scale=one.histogram.scale, zero=one.histogram.zero)
            found.latencies.append(LatencyPart(*place, one.ts // _MINUTE_MS, histogram))
    return found


def _problem(one: Counted, limits: TimeLimits) -> str | None:
    if not limits.oldest_ms <= one.ts <= limits.newest_ms:
        return f"ts {one.ts} lies outside {limits.oldest_ms}..{limits.newest_ms} ms"
    numbers = [one.good, one.bad, one.excluded]
    histogram = one.histogram
    if histogram is not None:
        if not SCALE <= histogram.scale <= _MAX_SCALE:
            return f"a histogram of scale {histogram.scale}: those from {SCALE} to {_MAX_SCALE} can be added up"
        if len(histogram.counts) > _MAX_BUCKETS or abs(histogram.offset) > 2**26:
            return (
                f"a histogram of {len(histogram.counts)} buckets from {histogram.offset}; the limit is {_MAX_BUCKETS} buckets"
            )
        if sum(histogram.counts) + histogram.zero > one.good + one.bad:
            return "the histogram counts more events than good and bad together"
        numbers += [*histogram.counts, histogram.zero]
    return next((f"count {number} lies outside 0..{MAX_WEIGHT}" for number in numbers if not 0 <= number <= MAX_WEIGHT), None)
