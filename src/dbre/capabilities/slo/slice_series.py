"""A series of time slices that follows a series of slots: what a budget by time is counted from."""

from collections.abc import Iterator, Sequence

from dbre.capabilities.slo.budgeting_method import NoSliceData, TimeSlices
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import Run, SlotSeries

__all__ = ["SliceSeries"]


class SliceSeries:
    """The verdict on each slice that is over, in runs of equal ones.

    A slice belongs to a window that holds its last slot, so that a window of n slices always holds n of them. Slices before
    the first event are none: nobody measured yet.
    """

    def __init__(self, slices: TimeSlices) -> None:
        self.slices = slices
        self.unit_slots = slices.slots
        self._ignored = Counts(excluded=slices.units)
        self._judged = SlotSeries()
        self._begin = 0  # the first slice of all
        self._done: int | None = None  # slices before this one are judged; None: none yet
        self._dirty: set[int] = set()

    @property
    def first(self) -> int | None:
        """The oldest slot of a judged slice."""
        return None if self._judged.first is None else self._judged.first * self.unit_slots

    def touch(self, slot: int) -> None:
        """The counts of a slot changed."""
        if self._done is not None and slot // self.unit_slots < self._done:
            self._dirty.add(slot // self.unit_slots)

    def follow(self, series: SlotSeries, end: int, *, corrected: Sequence[tuple[int, int]] = ()) -> None:
        """Judge the slices that were over before the slot ``end`` anew or for the first time."""
        if series.first is None:
            return
        stop = end // self.unit_slots
        if self._done is None or (self._dirty and min(self._dirty) < self._begin):
            self._begin = self._done = series.first // self.unit_slots
            self._judged = SlotSeries()
            self._dirty.clear()
        if self._dirty and self.slices.no_data is NoSliceData.CARRY:
            self._rewind(min(self._dirty))  # what came behind it may have carried its verdict
        for index in sorted(self._dirty):
            self._again(series, index, corrected)
        self._dirty.clear()
        self._extend(series, stop, corrected)

    def _rewind(self, index: int) -> None:
        kept = self._judged.copy(self._judged.first or 0, index)
        self._judged, self._done = kept, index
        self._dirty.clear()

    def _again(self, series: SlotSeries, index: int, corrected: Sequence[tuple[int, int]]) -> None:
        old = self._judged.window(index, index + 1)
        new, _ = self._verdict(series, index, index + 1, corrected)
        self._judged.add(index, new - old)

    def _extend(self, series: SlotSeries, stop: int, corrected: Sequence[tuple[int, int]]) -> None:
        at = self._done or 0
        while at < stop:
            verdict, length = self._verdict(series, at, stop, corrected)
            self._judged.add(at, verdict, length=length)
            at += length
        self._done = max(at, self._done or 0)

    def _verdict(self, series: SlotSeries, index: int, stop: int, corrected: Sequence[tuple[int, int]]) -> tuple[Counts, int]:
        """What a slice is worth, and how many from it on are like it."""
        width, start = self.unit_slots, index * self.unit_slots
        same, counts = series.piece(start, stop * width)
        length = max(same // width, 1)
        verdict = self.slices.judge(counts * width if same >= width else series.window(start, start + width))
        if verdict is not None:
            return verdict, length
        for low, high in corrected:
            if low < start + width and high > start:
                return self._ignored, 1
            if low >= start + width:
                length = min(length, max(low // width - index, 1))
        match self.slices.no_data:
            case NoSliceData.GOOD:
                return Counts(good=self.slices.units), length
            case NoSliceData.BAD:
                return Counts(bad=self.slices.units), length
            case NoSliceData.CARRY:
                before = self._judged.window(index - 1, index)
                return before if before.total else Counts(good=self.slices.units), length
            case _:
                return self._ignored, length

    def window(self, start: int, end: int) -> Counts:
        """The worth of all judged slices whose last slot lies in ``[start, end)``."""
        return self._judged.window(start // self.unit_slots, end // self.unit_slots)

    def runs(self, start: int, end: int) -> Iterator[Run]:
        """Runs of equal slices, by the number of the slice."""
        return self._judged.runs(start // self.unit_slots, end // self.unit_slots)

    def trailing_bad(self, start: int, end: int) -> int:
        """How many of the newest slices in ``[start, end)`` are bad in a row; with ratios, entirely bad."""
        return self._judged.trailing_bad(start // self.unit_slots, end // self.unit_slots) // self.slices.units

    @property
    def newest_bad(self) -> int:
        """No slot behind this one belongs to a bad slice."""
        return self._judged.newest_bad * self.unit_slots

    def exceeds(self, end: int, limits: Sequence[tuple[int, int, int, int]]) -> bool:
        """As ``SlotSeries.exceeds``."""
        for short, long, limit, scale in limits:
            near, far = self.window(end - short, end), self.window(end - long, end)
            if near.bad * scale > near.total * limit and far.bad * scale > far.total * limit:
                return True
        return False

    def forget_before(self, slot: int) -> None:
        """Drop the slices that end before a slot."""
        self._judged.forget_before(slot // self.unit_slots)
        self._begin = max(self._begin, slot // self.unit_slots)

    def shift(self) -> None:
        """The slots were moved: everything is judged anew."""
        self._judged, self._done = SlotSeries(), None
        self._dirty.clear()
