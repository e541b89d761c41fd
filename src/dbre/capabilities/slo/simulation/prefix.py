"""Sums of any window of a fixed history by two subtractions: a replay asks for millions of them."""

from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate, repeat

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import SlotSeries

__all__ = ["PrefixSums"]


class PrefixSums:
    """The counts of the slots ``[start, end)``, summed from the left; what lies outside is empty."""

    def __init__(self, series: SlotSeries, start: int, end: int) -> None:
        self.start, self.end = start, end
        self._bad = _sums(_parts(series, start, end, lambda counts: counts.bad))
        self._total = _sums(_parts(series, start, end, lambda counts: counts.total))
        self._observed = _sums(_parts(series, start, end, lambda counts: counts.observed))

    def bad_and_total(self, low: int, high: int) -> tuple[int, int]:
        """Bad and valid events of a window."""
        first, last = self._at(low), self._at(high)
        return self._bad[last] - self._bad[first], self._total[last] - self._total[first]

    def observed(self, low: int, high: int) -> int:
        """Events of any kind in a window."""
        return self._observed[self._at(high)] - self._observed[self._at(low)]

    def _at(self, slot: int) -> int:
        return min(max(slot, self.start), self.end) - self.start


def _sums(values: Iterator[int]) -> "array[int]":
    return array("q", accumulate(values, initial=0))


def _parts(series: SlotSeries, start: int, end: int, part: Callable[[Counts], int]) -> Iterator[int]:
    at = start
    for run in series.runs(start, end):
        yield from repeat(0, run.start - at)
        yield from repeat(part(run.counts), run.length)
        at = run.end
    yield from repeat(0, end - at)
