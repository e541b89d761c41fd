"""Counts by slot, held as runs of equal slots, with prefix sums: any window in O(log n), a healthy month in one run."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from dbre.capabilities.slo.counts import NOTHING, Counts

__all__ = ["SLOT_SECONDS", "Run", "SlotSeries", "slot_at", "slot_start"]

SLOT_SECONDS = 10


def slot_at(moment: datetime) -> int:
    """The number of the 10 s slot that holds a moment, counted from 1970 UTC; exact, no float.

    >>> slot_at(datetime(1970, 1, 1, 0, 0, 19, 999_999, tzinfo=UTC))
    1
    """
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) // SLOT_SECONDS


def slot_start(slot: int) -> datetime:
    """The moment at which a slot begins."""
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """``length`` adjacent slots from ``start`` on, each with the same counts."""

    start: int
    length: int
    counts: Counts

    @property
    def end(self) -> int:
        """The first slot behind the run."""
        return self.start + self.length


class SlotSeries:
    """A sparse, additive series of slots.

    Slots without any event are not stored: they are gaps between runs. Events may come late, into any slot; adding to
    the newest slots costs O(log n), adding into the past costs O(n).
    """

    __slots__ = ("_prefix", "_runs", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: list[Run] = []
        self._prefix: list[Counts] = []  # the sum of all runs before the run of the same index

    def __len__(self) -> int:
        """How many runs are held."""
        return len(self._runs)

    @property
    def first(self) -> int | None:
        """The oldest slot that holds an event."""
        return self._starts[0] if self._starts else None

    @property
    def end(self) -> int | None:
        """The slot behind the newest one that holds an event."""
        return self._runs[-1].end if self._runs else None

    def runs(self, start: int | None = None, end: int | None = None) -> Iterator[Run]:
        """The runs in order, cut to ``[start, end)``."""
        index = 0 if start is None else max(bisect_right(self._starts, start) - 1, 0)
        for run in self._runs[index:]:
            low = run.start if start is None else max(run.start, start)
            high = run.end if end is None else min(run.end, end)
            if low < high:
                yield Run(low, high - low, run.counts)
            elif end is not None and run.start >= end:
                return

    def add(self, slot: int, counts: Counts, *, length: int = 1) -> None:
        """Add the counts to each of ``length`` slots from ``slot`` on."""
        if not counts or length < 1:
            return
        end = slot + length
        low = max(bisect_right(self._starts, slot) - 1, 0)
        while low < len(self._runs) and self._runs[low].end <= slot:
            low += 1
        high = low
        while high < len(self._runs) and self._runs[high].start < end:
            high += 1
        touched = self._runs[low:high]
        pieces: list[Run] = []
        at = slot
        for run in touched:
            if run.start < slot:
                pieces.append(Run(run.start, slot - run.start, run.counts))
            if at < run.start:
                pieces.append(Run(at, run.start - at, counts))
            inner, outer = max(run.start, slot), min(run.end, end)
            pieces.append(Run(inner, outer - inner, run.counts + counts))
            if run.end > end:
                pieces.append(Run(end, run.end - end, run.counts))
            at = outer
        if at < end:
            pieces.append(Run(at, end - at, counts))
        self._replace(low, high, pieces)

    def _replace(self, low: int, high: int, pieces: list[Run]) -> None:
        if low > 0:
            low -= 1
            pieces.insert(0, self._runs[low])
        if high < len(self._runs):
            pieces.append(self._runs[high])
            high += 1
        joined: list[Run] = []
        for piece in pieces:
            last = joined[-1] if joined else None
            if last is not None and last.end == piece.start and last.counts == piece.counts:
                joined[-1] = Run(last.start, last.length + piece.length, last.counts)
            elif piece.counts:
                joined.append(piece)
        self._runs[low:high] = joined
        self._starts[low:high] = [run.start for run in joined]
        del self._prefix[low:]
        total = self._prefix[-1] + self._runs[low - 1].counts * self._runs[low - 1].length if low else NOTHING
        for run in self._runs[low:]:
            self._prefix.append(total)
            total += run.counts * run.length

    def _before(self, slot: int) -> Counts:
        index = bisect_right(self._starts, slot) - 1
        if index < 0:
            return NOTHING
        run = self._runs[index]
        return self._prefix[index] + run.counts * min(slot - run.start, run.length)

    def window(self, start: int, end: int) -> Counts:
        """The sum over the slots ``[start, end)``; nothing where ``end <= start``."""
        return self._before(end) - self._before(start) if start < end else NOTHING

    def last_valid_slot(self, end: int) -> int | None:
        """The newest slot before ``end`` that holds a good or bad event."""
        for index in range(bisect_right(self._starts, end - 1) - 1, -1, -1):
            run = self._runs[index]
            if run.counts.total:
                return min(run.end, end) - 1
        return None

    def trailing_bad(self, start: int, end: int) -> int:
        """How many of the newest valid events in ``[start, end)`` are bad in a row.

        The order inside one slot is not stored, so that a slot with a good event ends the row: the count may be too
        low by the events of one slot, never too high.
        """
        row = 0
        for index in range(bisect_right(self._starts, end - 1) - 1, -1, -1):
            run = self._runs[index]
            low, high = max(run.start, start), min(run.end, end)
            if low >= high or run.counts.good:
                return row
            row += run.counts.bad * (high - low)
        return row

    def shift(self, slots: int) -> None:
        """Move everything by a number of slots: what the wall clock did, the history of the recent past follows."""
        self._runs = [Run(run.start + slots, run.length, run.counts) for run in self._runs]
        self._starts = [run.start for run in self._runs]

    def forget_before(self, slot: int) -> None:
        """Drop all runs that end at or before a slot."""
        keep = next((index for index, run in enumerate(self._runs) if run.end > slot), len(self._runs))
        if keep:
            base = self._prefix[keep] if keep < len(self._runs) else NOTHING
            del self._runs[:keep], self._starts[:keep]
            self._prefix = [one - base for one in self._prefix[keep:]]

    def copy(self, start: int, end: int) -> "SlotSeries":
        """A series of its own that holds the slots ``[start, end)``."""
        other = SlotSeries()
        for run in self.runs(start, end):
            other.add(run.start, run.counts, length=run.length)
        return other
