"""The running evaluation: takes observations, keeps the store up to date, fires and resolves alerts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.alert_repository import apply_changes, load_alert_states, read_alerts
from dbre.capabilities.slo.alert_state import AlertState
from dbre.capabilities.slo.assessment import Measured, assess, rules_now
from dbre.capabilities.slo.correction import Correction, intervals_of
from dbre.capabilities.slo.correction_repository import load_corrections
from dbre.capabilities.slo.counting import CountedSlot, SourceMark
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance, problems_of
from dbre.capabilities.slo.documents import AlertingDocument
from dbre.capabilities.slo.evaluation import changes_of, removals
from dbre.capabilities.slo.model import AlertChange, AlertKey, SloStatus
from dbre.capabilities.slo.series import SLOT_SECONDS, slot_at
from dbre.capabilities.slo.sli import classify
from dbre.capabilities.slo.slot_repository import (
    SeriesKey,
    forget_writers,
    load_marks,
    load_slots,
    register_definitions,
    register_series,
    stored_groups,
    write_heard,
)
from dbre.capabilities.slo.slot_writer import SlotWriter
from dbre.capabilities.slo.track import Track
from dbre.capabilities.slo.track_table import TrackTable
from dbre.capabilities.slo.versions import NO_HISTORY, History, Version, load_histories, with_old_series
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.ids import uuid7
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.telemetry import tracer
from dbre.ports.probe import ProbeObservation

__all__ = ["EngineHealth", "SloEngine"]

FLUSH_SECONDS = 1.0
_LAST_FLUSH_SECONDS = 5.0  # a shutdown waits no longer than this for the store
_YIELD_EVERY = 8  # SLO instances between two turns of the event loop: the prober keeps its schedule meanwhile
_SCREENED_AT_ONCE = 200  # as many take less than a millisecond
_STEP_SECONDS = SLOT_SECONDS / 2  # a smaller difference between wall and monotonic time moves no slot
_HEARD_SECONDS = 20.0  # how old the stored sign of life of a source may be
_WRITERS_KEPT = timedelta(days=30)  # far longer than any process waits to hand a batch in again
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

_log = structlog.get_logger(__name__)
_tracer = tracer(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """Whether the engine can do its work; for readiness and for people."""

    is_started: bool  # history and alert states are loaded
    store_error: str | None  # why the store cannot be written now
    unsaved_events: int  # events that are only in memory
    lost_events: int  # events given up because the store was away for longer than memory lasts
    unknown_events: int = 0  # counted by a source for an SLO that is not configured


class SloEngine:
    """Counts observations per SLO instance and slot, and evaluates every ``evaluation_interval``.

    Budgets follow the wall clock, alerts follow elapsed time (``Track``). Nothing is counted twice: a batch of counts
    carries a number, so that one whose commit ended in doubt can be handed in again; an alert changes state in memory only
    after its transaction, and after a transaction that ended in doubt the states are read back.
    """

    def __init__(
        self,
        store: Store,
        definitions: Sequence[Definition],
        *,
        fleet: Fleet,
        probe_interval: timedelta,
        clock: Clock,
        events: EventLog,
        alerting: AlertingDocument | None = None,
    ) -> None:
        self._store = store
        self._definitions = tuple(definitions)
        self._fleet = fleet
        self._clock = clock
        self._events = events
        self._interval_ms = max(probe_interval // timedelta(milliseconds=1), 1)
        alerting = alerting or AlertingDocument()
        self._evaluation_seconds = alerting.evaluation_interval.total_seconds()
        started = clock.monotonic()
        self._table = TrackTable(
            definitions,
            fleet,
            probe_interval_ms=self._interval_ms,
            lost_after=alerting.telemetry_lost_after,
            started_monotonic=started,
        )
        self._tracks = self._table.all
        self._writer = SlotWriter(store, self._tracks, clock)
        self._heard: dict[tuple[str, str], datetime] = {}  # since they were last stored
        self._next_heard = started
        self._unknown_events = 0
        self._corrections: tuple[Correction, ...] = ()
        self._started = asyncio.Event()
        self._wall_offset = self._offset_seconds()
        self._next_evaluation = started
        self._is_started = False
        self._histories: dict[str, History] = {}  # by SLO: what it promised before
        self._since: dict[str, datetime] = {}  # by SLO: when its present version took effect
        self._must_reload_alerts = False
        self._store_error: str | None = None
        self.evaluation_observer: Callable[[float], None] | None = None  # hears how many seconds each evaluation took

    def record(self, observation: ProbeObservation) -> None:
        """Count one observation; does no I/O and never fails for what the observation holds."""
        self._follow_clock()
        slot, monotonic = slot_at(observation.scheduled_at), self._clock.monotonic()
        for track in self._table.probed(observation.cluster, observation.purpose):
            counts = classify(track.instance.definition.sli, observation)
            track.add(slot, counts, monotonic=monotonic)
            self._writer.note(track)

    def take(self, counted: Sequence[CountedSlot], *, mark: SourceMark | None = None) -> None:
        """Count what a source counted; does no I/O. ``mark`` is stored in the transaction that stores these counts."""
        self._follow_clock()
        monotonic = self._clock.monotonic()
        for one in counted:
            tracks = self._table.counted(one.slo, one.cluster, one.group)
            if not tracks:
                self._unknown_events += one.counts.observed
                continue
            for track in tracks:
                track.add(one.slot, one.counts, monotonic=monotonic)
                self._writer.note(track)
            if one.counts.total:  # a source that only tells of its own failures sees nothing
                self.heard(one.slo, one.cluster)
        if mark is not None:
            self._writer.mark(mark.source, mark.position)

    def heard(self, slo: str, cluster: str) -> None:
        """The source of an SLO is alive, though it may have nothing to count."""
        pulse = self._table.pulse(slo, cluster)
        if pulse is not None:
            pulse.beat(self._clock.monotonic())
            self._heard[slo, cluster] = self._clock.now()

    def stored_position(self, source: str) -> str | None:
        """Up to where the store is known to have the counts of a source; None: nothing yet, or not loaded yet."""
        return self._writer.positions.get(source)

    async def wait_until_started(self) -> None:
        """Return once history and marks are loaded."""
        await self._started.wait()

    async def run(self) -> None:
        """Store and evaluate until cancelled; trouble of the store is waited out. Raises: ControlPlaneLockLost."""
        for problem in problems_of(self._definitions, self._fleet):
            _log.warning("slo_measures_nothing", slo=problem.slo, problem=problem.message, hint=problem.hint)
        try:
            while True:
                await self.tick()
                await self._clock.sleep(FLUSH_SECONDS)
        finally:
            await self._flush_at_the_end()

    async def tick(self) -> None:
        """What ``run`` does once a second: load what is not loaded, flush, evaluate when it is time, tidy up."""
        self._follow_clock()
        try:
            if not self._is_started:
                await self._start()
            await self._writer.flush()
            await self._store_heard()
            if self._clock.monotonic() >= self._next_evaluation:
                await self.evaluate()
                self._next_evaluation = self._clock.monotonic() + self._evaluation_seconds
            await self._writer.tidy()
        except ControlPlaneLockLost:
            raise
        except StoreError as error:
            self._note_store(error)
        else:
            self._note_store(None)

    async def status(self, *, cluster: str | None = None) -> tuple[SloStatus, ...]:
        """The state of every SLO instance (or of those of one cluster) now, in the order of the configuration."""
        self._follow_clock()
        now, statuses = self._clock.now(), []
        chosen = (one for one in self._tracks if cluster is None or one.instance.cluster.name == cluster)
        for index, track in enumerate(chosen):
            statuses.append(assess(self._measured(track), now))
            if index % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return tuple(statuses)

    def seen(self) -> Sequence[tuple[SloInstance, Counts]]:
        """Each instance and all that was counted of it since this engine was made; it only grows."""
        return [(one.instance, one.seen) for one in self._tracks]

    @property
    def health(self) -> EngineHealth:
        """Whether the engine can do its work."""
        return EngineHealth(
            is_started=self._is_started,
            store_error=self._store_error,
            unsaved_events=self._writer.unsaved_events,
            lost_events=self._writer.lost_events,
            unknown_events=self._unknown_events,
        )

    async def evaluate(self) -> None:
        """Decide every alert now. Raises: StoreError where a change could not be written; the next call decides anew."""
        began = time.perf_counter()
        with _tracer.start_as_current_span("slo.evaluate") as span:
            span.set_attribute("slo.instances", len(self._tracks))
            span.set_attribute("slo.changes", await self._evaluate())
        if self.evaluation_observer is not None:
            self.evaluation_observer(time.perf_counter() - began)

    async def _evaluate(self) -> int:
        await self._follow_corrections()
        if self._must_reload_alerts:
            await self._reload_alerts()
        now, monotonic, changes = self._clock.now(), self._clock.monotonic(), list[tuple[Track, AlertChange]]()
        end = slot_at(now) + 1
        for index, track in enumerate(list(self._tracks)):
            if not track.is_quiet(end, monotonic=monotonic):
                status = assess(self._measured(track), now)
                changes += [(track, one) for one in changes_of(status, now, new_id=self._new_id)]
                await asyncio.sleep(0)  # the prober keeps its schedule meanwhile
            elif index % _SCREENED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if not changes:
            return 0
        self._must_reload_alerts = True  # until the commit is known: an error or a cancellation leaves it in doubt
        async with self._store.begin() as connection:
            await apply_changes(connection, self._store, self._events, [change for _, change in changes])
        self._must_reload_alerts = False
        for track, change in changes:
            self._take(track, change)
        return len(changes)

    def _take(self, track: Track, change: AlertChange) -> None:
        if change.tracked.state is AlertState.INACTIVE:
            track.tracked.pop(change.key.rule, None)
        else:
            track.tracked[change.key.rule] = change.tracked
        if change.transition is not None and change.record is not None:
            _log.warning(
                f"slo_alert_{change.transition}",
                slo=change.key.slo,
                cluster=change.key.cluster,
                group=change.key.group,
                rule=change.key.rule,
                severity=change.record.severity.value,
                alert_id=change.record.alert_id,
                summary=change.record.summary,
            )

    def _new_id(self) -> str:
        return str(uuid7(self._clock))

    def _measured(self, track: Track) -> Measured:
        return track.measured(self._clock.now(), monotonic=self._clock.monotonic())

    async def _store_heard(self) -> None:
        if not self._heard or self._clock.monotonic() < self._next_heard:
            return
        heard, self._heard = self._heard, {}
        async with self._store.begin() as connection:
            await write_heard(connection, self._store, heard)
        self._next_heard = self._clock.monotonic() + _HEARD_SECONDS

    async def _start(self) -> None:
        now = self._clock.now()
        async with self._store.begin() as connection:
            await forget_writers(connection, before=now - _WRITERS_KEPT)
            self._since = await register_definitions(connection, self._definitions, now=now)
            for group in await stored_groups(connection, self._table.grouped, now=now):
                self._table.adopt_group(group)
            tracks = list(self._tracks)
            keys = await register_series(
                connection,
                self._store,
                [track.instance for track in tracks],
                interval_ms=self._interval_ms,
                now=now,
            )
        end = slot_at(now)
        needed = {keys[track.instance.id].id: end - track.look_back_slots for track in tracks}
        async with self._store.read() as connection:
            loaded = await load_slots(connection, needed, end=2**62)
            positions = await load_marks(connection)
            self._histories = await load_histories(connection, self._definitions)
            for track in tracks:
                track.earlier = await self._earlier(connection, track.instance, now)
        for track in tracks:
            self._name(track, keys)
            track.adopt(loaded[keys[track.instance.id].id], self._writer.unsaved_runs(track), now=now)
        self._writer.positions, self._writer.register = positions, self._register
        self._corrections = ()
        await self._follow_corrections()
        await self._reload_alerts()
        self._is_started = True
        self._started.set()

    async def _earlier(self, connection: AsyncConnection, instance: SloInstance, now: datetime) -> tuple[Version, ...]:
        history = self._histories.get(instance.definition.name, NO_HISTORY)
        return await with_old_series(connection, instance, history, now)

    def _name(self, track: Track, keys: Mapping[str, SeriesKey]) -> None:
        track.series_id = keys[track.instance.id].id
        track.definition_since = self._since[track.instance.definition.name]
        track.since_slot = self._histories.get(track.instance.definition.name, NO_HISTORY).since_slot

    async def _follow_corrections(self) -> None:
        """Leave out what people and operations say does not count; they say so in any process."""
        async with self._store.read() as connection:
            found = await load_corrections(connection)
        if found == self._corrections:
            return
        self._corrections = found
        for track in self._tracks:
            track.correct(intervals_of(found, track.instance))

    async def _register(self, tracks: Sequence[Track]) -> None:
        """Give groups that appeared since the start their series."""
        instances = [track.instance for track in tracks]
        now = self._clock.now()
        async with self._store.begin() as connection:
            keys = await register_series(connection, self._store, instances, interval_ms=self._interval_ms, now=now)
            earlier = [await self._earlier(connection, one, now) for one in instances]
        for track, versions in zip(tracks, earlier, strict=True):
            self._name(track, keys)
            track.earlier = versions
            track.correct(intervals_of(self._corrections, track.instance))

    async def _reload_alerts(self) -> None:
        async with self._store.read() as connection:
            states = await load_alert_states(connection)
            known = {one.alert_id: one for one in await read_alerts(connection, limit=10_000)} if states else {}
        now, defined = self._clock.now(), set[AlertKey]()
        for track in self._tracks:
            one = track.instance
            track.tracked = {}
            for rule in rules_now(self._measured(track), now):
                key = AlertKey(slo=one.definition.name, cluster=one.cluster.name, rule=rule.rule, group=one.group)
                defined.add(key)
                if key in states:
                    track.tracked[rule.rule] = states[key].not_after(now)
        gone = removals(states, defined=defined, known=known, now=now)
        if gone:
            async with self._store.begin() as connection:
                await apply_changes(connection, self._store, self._events, gone)
        self._must_reload_alerts = False

    def _offset_seconds(self) -> float:
        return (self._clock.now() - _EPOCH).total_seconds() - self._clock.monotonic()

    def _follow_clock(self) -> None:
        """Move the recent past along when the wall clock was stepped."""
        difference = self._offset_seconds() - self._wall_offset
        if abs(difference) < _STEP_SECONDS:
            return
        slots = int((difference + _STEP_SECONDS) // SLOT_SECONDS)
        self._wall_offset += slots * SLOT_SECONDS
        if slots:
            _log.warning("slo_clock_stepped", seconds=difference)
            for track in self._tracks:
                track.step(slots)

    def _note_store(self, error: StoreError | None) -> None:
        text = None if error is None else error.message
        if text != self._store_error:
            health = {"unsaved_events": self._writer.unsaved_events, "lost_events": self._writer.lost_events}
            if error is not None:
                _log.error("slo_store_failed", code=error.code, error=error.message, **health)
            else:
                _log.warning("slo_store_recovered", **health)
        self._store_error = text

    async def _flush_at_the_end(self) -> None:
        try:
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                await self._writer.flush()
        except (StoreError, TimeoutError) as error:
            _log.error("slo_last_flush_failed", error=str(error), unsaved_events=self._writer.unsaved_events)
