"""Counts by slot, held as runs of equal slots, with prefix sums: any window in O(log n), a healthy month in one run."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
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
    the newest slots costs O(log n), adding into the past moves what lies behind it, and the next question sums it anew: a
    whole batch of late events costs O(n) once.
    """

    __slots__ = ("_bad", "_excluded", "_good", "_missed", "_runs", "_starts", "bad_changes", "newest_bad")

    unit_slots = 1  # how many slots one element of ``runs`` covers

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: list[Run] = []
        self._good: list[int] = []  # these four: the sums of all runs before the run of the same index, of the first ones
        self._bad: list[int] = []
        self._missed: list[int] = []
        self._excluded: list[int] = []
        self.bad_changes = 0  # grows whenever bad events are added or moved
        self.newest_bad = -1  # no slot behind this one holds a bad event

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
        if length < 1 or not counts:
            return
        if counts.bad:
            self.bad_changes += 1
            self.newest_bad = max(self.newest_bad, slot + length)
        if not self._runs or slot >= self._runs[-1].end:
            self._append(Run(slot, length, counts))
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

    def _append(self, run: Run) -> None:
        """Add what lies behind everything else: how a history is loaded, and most of what is counted."""
        last = self._runs[-1] if self._runs else None
        if last is not None and last.end == run.start and last.counts == run.counts:
            self._runs[-1] = Run(last.start, last.length + run.length, last.counts)
            return
        self._append_sums()
        self._runs.append(run)
        self._starts.append(run.start)

    def _append_sums(self) -> None:
        """The sums before the run that comes behind those for which there are sums."""
        index = len(self._good) - 1
        if index < 0:
            for sums in (self._good, self._bad, self._missed, self._excluded):
                sums.append(0)
            return
        run = self._runs[index]
        counts, length = run.counts, run.length
        self._good.append(self._good[index] + counts.good * length)
        self._bad.append(self._bad[index] + counts.bad * length)
        self._missed.append(self._missed[index] + counts.missed * length)
        self._excluded.append(self._excluded[index] + counts.excluded * length)

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
        for sums in (self._good, self._bad, self._missed, self._excluded):
            del sums[low:]

    def _sum_up(self) -> None:
        """Make the sums that changes in the past have left out."""
        for _ in range(len(self._good), len(self._runs)):
            self._append_sums()

    def _before(self, slot: int) -> tuple[int, int, int, int]:
        if len(self._good) < len(self._runs):
            self._sum_up()
        index = bisect_right(self._starts, slot) - 1
        if index < 0:
            return 0, 0, 0, 0
        run = self._runs[index]
        counts, length = run.counts, min(slot - run.start, run.length)
        return (
            self._good[index] + counts.good * length,
            self._bad[index] + counts.bad * length,
            self._missed[index] + counts.missed * length,
            self._excluded[index] + counts.excluded * length,
        )

    def window(self, start: int, end: int) -> Counts:
        """The sum over the slots ``[start, end)``; nothing where ``end <= start``."""
        if start >= end:
            return NOTHING
        good, bad, missed, excluded = self._before(end)
        less_good, less_bad, less_missed, less_excluded = self._before(start)
        return Counts(good - less_good, bad - less_bad, missed - less_missed, excluded - less_excluded)

    def bad_and_total(self, start: int, end: int) -> tuple[int, int]:
        """The bad and the valid events of a window; faster than all of its counts."""
        bad, total = self._bad_and_total_before(end)
        less_bad, less_total = self._bad_and_total_before(start)
        return bad - less_bad, total - less_total

    def _bad_and_total_before(self, slot: int) -> tuple[int, int]:
        if len(self._good) < len(self._runs):
            self._sum_up()
        index = bisect_right(self._starts, slot) - 1
        if index < 0:
            return 0, 0
        run = self._runs[index]
        length = slot - run.start
        if length > run.length:
            length = run.length
        counts, bad = run.counts, self._bad[index]
        more = counts.bad * length
        return bad + more, self._good[index] + bad + counts.good * length + more

    def exceeds(self, end: int, limits: Sequence[tuple[int, int, int, int]]) -> bool:
        """Whether a limit (short, long, limit, scale) has ``bad * scale > total * limit`` over both windows before ``end``."""
        starts, runs, bads, goods = self._starts, self._runs, self._bad, self._good
        bad, total = self._bad_and_total_before(end)
        for short, long, limit, scale in limits:
            index = bisect_right(starts, slot := end - short) - 1  # as _bad_and_total_before: the call costs as much again
            if index < 0:
                less_bad = less_total = 0
            else:
                run = runs[index]
                counts, length = run.counts, slot - starts[index]
                if length > run.length:
                    length = run.length
                less_bad = bads[index] + counts.bad * length
                less_total = goods[index] + counts.good * length + less_bad
            if (bad - less_bad) * scale > (total - less_total) * limit:
                less_bad, less_total = self._bad_and_total_before(end - long)
                if (bad - less_bad) * scale > (total - less_total) * limit:
                    return True
        return False

    def piece(self, slot: int, end: int) -> tuple[int, Counts]:
        """How many slots from one on, up to ``end``, hold the same counts, and those counts."""
        index = bisect_right(self._starts, slot) - 1
        if index >= 0 and slot < self._runs[index].end:
            return min(self._runs[index].end, end) - slot, self._runs[index].counts
        following = self._starts[index + 1] if index + 1 < len(self._starts) else end
        return min(following, end) - slot, NOTHING

    def without(self, intervals: Sequence[tuple[int, int]]) -> "SlotSeries":
        """A series of its own that lacks the slots of some intervals, which are in order and do not overlap."""
        other, at = SlotSeries(), self.first or 0
        for low, high in [*intervals, (self.end or 0, self.end or 0)]:
            for run in self.runs(at, low) if at < low else ():
                other.add(run.start, run.counts, length=run.length)
            at = max(at, high)
        return other

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
        self.newest_bad += slots
        self.bad_changes += 1

    def forget_before(self, slot: int) -> None:
        """Drop all runs that end at or before a slot."""
        keep = next((index for index, run in enumerate(self._runs) if run.end > slot), len(self._runs))
        if keep:
            self._sum_up()
            for sums in (self._good, self._bad, self._missed, self._excluded):
                base = sums[keep] if keep < len(sums) else 0
                sums[:] = [one - base for one in sums[keep:]]
            del self._runs[:keep], self._starts[:keep]

    def replace(self, start: int, end: int, runs: Iterable[Run]) -> None:
        """Put other runs, which lie within ``[start, end)``, in the place of what these slots hold."""
        low = bisect_left(self._starts, start)
        if low and self._runs[low - 1].end > start:
            low -= 1
        high = bisect_left(self._starts, end)
        touched = self._runs[low:high]
        pieces = []
        if touched and touched[0].start < start:
            pieces.append(Run(touched[0].start, start - touched[0].start, touched[0].counts))
        pieces += runs
        if touched and touched[-1].end > end:
            pieces.append(Run(end, touched[-1].end - end, touched[-1].counts))
        self._replace(low, high, pieces)

    def copy(self, start: int, end: int) -> "SlotSeries":
        """A series of its own that holds the slots ``[start, end)``."""
        other = SlotSeries()
        for run in self.runs(start, end):
            other.add(run.start, run.counts, length=run.length)
        return other
