"""Brings counts from memory into the store: every event exactly once, however the store fails."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import structlog

from dbre.capabilities.slo.coarsening import levels_of
from dbre.capabilities.slo.series import Run, SlotSeries, slot_at
from dbre.capabilities.slo.slot_repository import MAX_RUN_SLOTS, compact, forget_slots, write_batch
from dbre.capabilities.slo.track import Track
from dbre.core.clock import Clock
from dbre.core.store import Store

__all__ = ["MAX_UNSAVED_RUNS", "SlotWriter"]

MAX_UNSAVED_RUNS = 200_000
"""How much is kept in memory while the store is away: a healthy series needs one run, however long that lasts."""
_TIDY_EVERY_SECONDS = 3_600.0
_TIDY_AT_ONCE = 20  # series a second: the write lock stays free for others
_COMPACT_OLDER_SLOTS = 720  # two hours: late events still find their own row
_FORGET_FACTOR = 2  # windows that are kept: a burn-down chart over the window looks back twice its length

_log = structlog.get_logger(__name__)


class SlotWriter:
    """Takes what is pending in all tracks, in numbered batches.

    A batch is fixed when it is made, and handed in again, with the same number, until the store is known to have it; the
    number is stored in the same transaction, and so is how far it brings the sources that were counted. New events gather
    behind it meanwhile.
    """

    def __init__(self, store: Store, tracks: Sequence[Track], clock: Clock) -> None:
        self._store = store
        self._tracks = tracks
        self._clock = clock
        self._name = str(uuid4())  # another process never continues our numbers
        self._sequence = 0
        self._dirty: dict[int, Track] = {}  # by identity
        self._batch: list[tuple[Track, Run]] = []
        self._batch_marks: dict[str, str] = {}
        self._marks: dict[str, str] = {}  # of what is pending
        self.positions: dict[str, str] = {}  # by source: what the store is known to have
        self.register: Callable[[Sequence[Track]], Awaitable[None]] | None = None  # gives new groups their series
        self._lengths: dict[int, int] = {}  # runs pending of each track, by identity
        self._unsaved_runs = 0
        self._queue: list[Track] = []
        self._next_tidy = clock.monotonic() + _TIDY_EVERY_SECONDS
        self.lost_events = 0

    @property
    def unsaved_events(self) -> int:
        """Observations that are only in memory."""
        runs = [run for _, run in self._batch] + [run for track in self._dirty.values() for run in track.pending.runs()]
        return sum(run.counts.observed * run.length for run in runs)

    def note(self, track: Track) -> None:
        """A track has something pending."""
        self._dirty[id(track)] = track
        self._count_runs(track)
        while self._unsaved_runs > MAX_UNSAVED_RUNS and len(track.pending) > 1:
            self._give_up_oldest(track)

    def mark(self, source: str, position: str) -> None:
        """Everything of a source up to that position has been counted."""
        self._marks[source] = position

    def _count_runs(self, track: Track) -> None:
        length = len(track.pending)
        self._unsaved_runs += length - self._lengths.get(id(track), 0)
        self._lengths[id(track)] = length

    def _give_up_oldest(self, track: Track) -> None:
        oldest = next(track.pending.runs())
        if not self.lost_events:
            _log.error("slo_events_lost", slo=track.instance.id, limit_runs=MAX_UNSAVED_RUNS)
        self.lost_events += oldest.counts.observed * oldest.length
        track.pending.forget_before(oldest.end)
        self._count_runs(track)

    def unsaved_runs(self, track: Track) -> list[Run]:
        """What of a track is not known to be in the store."""
        return [run for one, run in self._batch if one is track] + list(track.pending.runs())

    async def flush(self) -> None:
        """Write everything that is pending now. Raises: StoreError; nothing is lost, the next call goes on.

        What comes while it writes waits for the next call: under steady traffic there is always something.
        """
        if self._batch or self._batch_marks:
            await self._write()
        if await self._next_batch():
            await self._write()

    async def _write(self) -> None:
        rows = [(track.series_id, run) for track, run in self._batch if track.series_id is not None]
        async with self._store.begin() as connection:
            await write_batch(
                connection,
                self._store,
                writer=self._name,
                sequence=self._sequence,
                runs=rows,
                now=self._clock.now(),
                marks=self._batch_marks,
            )
        self.positions |= self._batch_marks
        self._batch, self._batch_marks = [], {}

    async def _next_batch(self) -> bool:
        # A mark and the counts up to it go together: with a group that has no series yet, neither does.
        while new := [one for one in self._dirty.values() if one.series_id is None]:
            if self.register is None:
                return False
            await self.register(new)
        return self._take_pending()

    def _take_pending(self) -> bool:
        for track in list(self._dirty.values()):
            self._batch += [(track, run) for run in track.pending.runs()]
            track.pending = SlotSeries()
            self._count_runs(track)
            del self._dirty[id(track)]
        self._batch_marks, self._marks = self._marks, {}
        if self._batch or self._batch_marks:
            self._sequence += 1
        return bool(self._batch or self._batch_marks)

    async def tidy(self) -> None:
        """Once an hour, a few series a call: old slots become runs, those that no window needs any more are deleted."""
        if not self._queue and self._clock.monotonic() >= self._next_tidy:
            self._queue = list(self._tracks)
            self._next_tidy = self._clock.monotonic() + _TIDY_EVERY_SECONDS
        for track in self._queue[:_TIDY_AT_ONCE]:
            await self.tidy_track(track)
            self._queue.remove(track)

    async def tidy_track(self, track: Track) -> None:
        """Compact yesterday and today up to two hours ago, and forget what is too old, in memory and in the store."""
        if track.series_id is None:
            return
        now = self._clock.now()
        track.forget(now)
        end = slot_at(now) - _COMPACT_OLDER_SLOTS
        today = end // MAX_RUN_SLOTS * MAX_RUN_SLOTS
        async with self._store.begin() as connection:
            for start, stop in ((today - MAX_RUN_SLOTS, today), (today, end)):
                await compact(connection, self._store, track.series_id, start=start, end=stop)
            for age, width in levels_of(track.instance.definition):
                edge = (slot_at(now) - age) // width * width
                day = edge // MAX_RUN_SLOTS * MAX_RUN_SLOTS
                for start, stop in ((day - MAX_RUN_SLOTS, day), (day, edge)):
                    await compact(connection, self._store, track.series_id, start=start, end=stop, width=width)
            await forget_slots(connection, track.series_id, before=end - _FORGET_FACTOR * track.look_back_slots - MAX_RUN_SLOTS)
