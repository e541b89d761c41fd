"""What a data point of a metric counts: whole numbers of events in buckets."""

import math
from dataclasses import dataclass
from itertools import pairwise

from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint

__all__ = ["BadPoint", "Tally", "read_exponential", "read_histogram", "read_number"]

_MAX_EXPONENT = 1_000.0  # 2 to that power is still a float
_SCALES = range(-10, 21)
_LARGEST = 2**62


class BadPoint(ValueError):
    """A data point that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by bucket. ``bounds`` are upper bounds in the unit of the metric; the bucket behind the last has none.

    For exponential histograms ``scale`` is set and a bucket's key is its index; its upper bound is 2^((index + 1) / 2^scale).
    Without either there is one bucket, of events whose size is unknown.
    """

    counts: dict[int, int]
    bounds: tuple[float, ...] = ()
    scale: int | None = None
    zeros: int = 0

    def upper_bound(self, bucket: int) -> float | None:
        """The largest value that the bucket may hold; None where it is not known, infinity for the last."""
        if self.scale is not None:
            return float(2.0 ** ((bucket + 1) / 2.0**self.scale))
        if not self.bounds:
            return None
        return self.bounds[bucket] if bucket < len(self.bounds) else math.inf

    def downscaled(self, scale: int) -> "Tally":
        """The same counts in the wider buckets of a smaller scale: exact, two neighbours become one at each step."""
        if self.scale is None or self.scale <= scale:
            return self
        counts: dict[int, int] = {}
        for index, count in self.counts.items():
            wider = index >> (self.scale - scale)
            counts[wider] = counts.get(wider, 0) + count
        return Tally(counts, scale=scale, zeros=self.zeros)

    def is_like(self, other: "Tally") -> bool:
        """Whether the buckets of both can be compared."""
        return (self.scale is None) == (other.scale is None) and self.bounds == other.bounds

    def minus(self, earlier: "Tally") -> "Tally | None":
        """What was added since, in buckets like these; None where a count went back."""
        if self.scale is not None and earlier.scale is not None and self.scale != earlier.scale:
            common = min(self.scale, earlier.scale)
            return self.downscaled(common).minus(earlier.downscaled(common))
        buckets = self.counts.keys() | earlier.counts.keys()
        counts = {one: self.counts.get(one, 0) - earlier.counts.get(one, 0) for one in buckets}
        zeros = self.zeros - earlier.zeros
        if zeros < 0 or any(count < 0 for count in counts.values()):
            return None
        return Tally({one: count for one, count in counts.items() if count}, self.bounds, self.scale, zeros)


def read_number(point: NumberDataPoint) -> Tally:
    """A point of a monotonic sum. Raises: BadPoint where it is no count."""
    if point.WhichOneof("value") == "as_double":
        value = point.as_double
        if not math.isfinite(value) or value != int(value):
            raise BadPoint("a sum that is no whole number counts no events")
        number = int(value)
    else:
        number = point.as_int
    return Tally({0: _whole(number)} if number else {})


def read_histogram(point: HistogramDataPoint) -> Tally:
    """A point of a histogram. Raises: BadPoint where bounds and counts do not fit together."""
    bounds, counts = tuple(point.explicit_bounds), point.bucket_counts
    if not counts and not bounds:
        return Tally({0: _whole(point.count)} if point.count else {})
    if len(counts) != len(bounds) + 1:
        raise BadPoint(f"a histogram with {len(counts)} counts for {len(bounds)} bounds; there is one count more than bounds")
    if any(math.isnan(bound) for bound in bounds) or any(low >= high for low, high in pairwise(bounds)):
        raise BadPoint("a histogram whose bounds do not increase")
    if sum(counts) != point.count:
        raise BadPoint(f"a histogram whose buckets hold {sum(counts)} events and whose count is {point.count}")
    _whole(point.count)
    return Tally({index: count for index, count in enumerate(counts) if count}, bounds)


def read_exponential(point: ExponentialHistogramDataPoint) -> Tally:
    """A point of an exponential histogram. Raises: BadPoint where it contradicts itself or has negative values."""
    if point.scale not in _SCALES:
        raise BadPoint(f"an exponential histogram of scale {point.scale}; -10 to 20 are possible")
    if any(point.negative.bucket_counts):
        raise BadPoint("an exponential histogram with negative durations")
    counts = {point.positive.offset + step: count for step, count in enumerate(point.positive.bucket_counts) if count}
    if sum(counts.values()) + point.zero_count != point.count:
        held = sum(counts.values()) + point.zero_count
        raise BadPoint(f"an exponential histogram whose buckets hold {held} events and whose count is {point.count}")
    if any(abs((index + 1) / 2.0**point.scale) > _MAX_EXPONENT for index in counts):
        raise BadPoint("an exponential histogram with values beyond what a number can hold")
    _whole(point.count)
    return Tally(counts, scale=point.scale, zeros=point.zero_count)


def _whole(number: int) -> int:
    if not 0 <= number <= _LARGEST:
        raise BadPoint(f"a count of {number}")
    return number
