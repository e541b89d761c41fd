"""Latencies as an exponential histogram: integers that add up exactly, quantiles within 1.1 %."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import frexp, isfinite

__all__ = ["SCALE", "ZERO_MS", "LatencyHistogram", "bucket_of", "bucket_start"]

SCALE = 5
"""Of OpenTelemetry's base-2 histograms: 32 buckets for each doubling, a relative error of at most 1.09 %."""
ZERO_MS = 0.001
"""Up to a microsecond counts as none: the zero bucket."""
_LARGEST_MS = 604_800_000.0  # a week; what takes longer counts as that
_STEPS = 1 << SCALE
_MANTISSAS = [2 ** (step / _STEPS) / 2 for step in range(_STEPS)]  # the bounds between 0.5 and 1, as ``frexp`` gives mantissas


def bucket_of(milliseconds: float) -> int:
    """The index of the bucket whose values lie in (base**index, base**(index + 1)], base = 2 ** 2 ** -5.

    >>> bucket_of(1.0), bucket_of(1.01), bucket_of(2.0), bucket_of(0.5)
    (-1, 0, 31, -33)

    Source: OpenTelemetry, metrics data model, "ExponentialHistogram".
    """
    mantissa, exponent = frexp(min(_LARGEST_MS, milliseconds))
    return (exponent - 1) * _STEPS + bisect_left(_MANTISSAS, mantissa) - 1


def bucket_start(index: int) -> float:
    """The lower bound of a bucket, in milliseconds; it is the upper one of the bucket before."""
    return float(2 ** (index / _STEPS))


@dataclass(slots=True)
class LatencyHistogram:
    """How many events took how long; ``buckets`` counts by index, ``zero`` counts those of up to a microsecond."""

    buckets: dict[int, int] = field(default_factory=dict)
    zero: int = 0

    @classmethod
    def of(cls, milliseconds: Iterable[float]) -> "LatencyHistogram":
        """The histogram of some durations. Raises: ValueError for one that is no duration."""
        histogram = cls()
        for one in milliseconds:
            histogram.add(one)
        return histogram

    @property
    def total(self) -> int:
        """How many events."""
        return self.zero + sum(self.buckets.values())

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count events of one duration. Raises: ValueError where it is negative or not a number."""
        if not isfinite(milliseconds) or milliseconds < 0:
            raise ValueError(f"{milliseconds} is no duration in milliseconds")
        if milliseconds <= ZERO_MS:
            self.zero += times
        else:
            self.put(bucket_of(milliseconds), times)

    def put(self, index: int, times: int) -> None:
        """Count events of one bucket."""
        self.buckets[index] = self.buckets.get(index, 0) + times

    def merge(self, other: "LatencyHistogram") -> None:
        """Add another one to this one, exactly."""
        self.zero += other.zero
        for index, times in other.buckets.items():
            self.put(index, times)

    def merge_scaled(self, buckets: Mapping[int, int], *, scale: int, zero: int = 0) -> None:
        """Add one of a finer scale, whose buckets are parts of ours. Raises: ValueError for a coarser one."""
        if scale < SCALE:
            raise ValueError(f"a histogram of scale {scale} is coarser than scale {SCALE}")
        self.zero += zero
        for index, times in buckets.items():
            self.put(index >> (scale - SCALE), times)

    def quantile(self, ratio: float) -> float | None:
        """The duration that so many of the events did not exceed, in milliseconds; None without events.

        It is the middle of its bucket, so that no value of the bucket is further away than 1.09 % of it.
        """
        total = self.total
        if not total:
            return None
        wanted = max(ratio * total, 1)
        seen = self.zero
        if seen >= wanted:
            return 0.0
        index = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= wanted:
                break
        lower, upper = bucket_start(index), bucket_start(index + 1)
        return 2 * lower * upper / (lower + upper)

    def at_most(self, milliseconds: float) -> tuple[int, int]:
        """How many events took no longer: at least and at most so many; equal where the limit is the bound of a bucket."""
        if milliseconds <= ZERO_MS:
            return (self.zero, self.zero) if milliseconds == ZERO_MS else (0, self.zero)
        edge = bucket_of(milliseconds)
        below = self.zero + sum(times for index, times in self.buckets.items() if index < edge)
        inside = self.buckets.get(edge, 0)
        return (below + inside if milliseconds == bucket_start(edge + 1) else below), below + inside

    def as_blob(self) -> bytes:
        """What is stored: varints of the zero count, and of each bucket's distance from the one before and its count."""
        numbers, before = [self.zero], 0
        for index in sorted(self.buckets):
            numbers += [_zigzag(index - before), self.buckets[index]]
            before = index
        return b"".join(map(_varint, numbers))

    @classmethod
    def from_blob(cls, blob: bytes) -> "LatencyHistogram":
        """Read what ``as_blob`` wrote. Raises: ValueError where it is something else."""
        numbers = list(_varints(blob))
        if len(numbers) % 2 == 0:
            raise ValueError("a stored histogram ends in the middle of a bucket")
        histogram, index = cls(zero=numbers[0]), 0
        for distance, times in zip(numbers[1::2], numbers[2::2], strict=True):
            index += (distance >> 1) ^ -(distance & 1)
            histogram.put(index, times)
        return histogram


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _varints(blob: bytes) -> Iterable[int]:
    number = shift = 0
    for byte in blob:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a stored histogram ends in the middle of a number")
