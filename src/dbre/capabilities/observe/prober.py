"""The open-loop prober: every scheduled slot of every endpoint yields exactly one observation, whatever happens."""

import asyncio
import heapq
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from dbre.capabilities.observe.endpoint import Answer
from dbre.capabilities.observe.exposition import Exposition
from dbre.capabilities.observe.model import EndpointState, ProbeDocument
from dbre.capabilities.observe.probe_metrics import ProbeMetrics
from dbre.capabilities.observe.timekeeping import StallLog, WallAnchor
from dbre.capabilities.observe.watch import Surroundings, Watch, watches_of
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry
from dbre.ports.probe import Outcome, ProbeObservation

__all__ = ["EventSink", "ObservationSink", "Prober"]

log = structlog.get_logger(__name__)

ObservationSink = Callable[[ProbeObservation], Awaitable[None] | None]
"""Takes each observation. It must not raise: an error there ends the prober."""

EventSink = Callable[[str, str, Mapping[str, object]], Awaitable[None] | None]
"""Takes events: kind, subject, data. It must not raise."""

_TICK_SECONDS = 0.25  # the longest time between two looks at the clocks
_LEAD_SECONDS = 1.0  # the first slots wait that long, so that heartbeat tables are there
_PREPARING_AT_ONCE = 10
_BACKLOG_STEP = 50  # missed slots delivered before the event loop gets a turn
_CLOSING_SECONDS = 1.5


class Prober:
    """Probes all endpoints of a fleet on a fixed schedule.

    Slot ``k`` of an endpoint is due at a fixed monotonic moment; it runs in a task of its own, so that a slow database delays
    no other slot, its own next one included. Its observation goes to ``sink``: good, bad or excluded as the engine judged,
    bad with code ``timeout`` where nothing came by the deadline, and missed where this process did not run, so that nothing
    can be said of the database. ``events`` hears of changes.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        engines: EngineRegistry,
        clock: Clock,
        settings: ProbeDocument,
        sink: ObservationSink,
        events: EventSink,
        metrics: ProbeMetrics | None = None,
    ) -> None:
        self._clock = clock
        self._interval = settings.interval.total_seconds()
        self._limit = settings.total_timeout.total_seconds()
        self._tolerance = min(settings.stall_tolerance.total_seconds(), self._interval / 2)
        self._sink = sink
        self._events = events
        self._metrics = metrics or ProbeMetrics(Exposition(clock))
        self._wall = WallAnchor(clock)
        self._stalls = StallLog(clock.monotonic(), tolerance=self._tolerance)
        surroundings = Surroundings(
            clock=clock,
            settings=settings,
            connecting=asyncio.Semaphore(settings.concurrent_connects),
            preparing=asyncio.Semaphore(_PREPARING_AT_ONCE),
        )
        self._watches = [
            watch
            for cluster in fleet.clusters
            for watch in watches_of(cluster, engine=engines.get(cluster.engine), surroundings=surroundings)
        ]

    @property
    def states(self) -> Sequence[EndpointState]:
        """What is known of each endpoint now, in the order of the fleet."""
        return [watch.tracker.state for watch in self._watches]

    async def run(self) -> None:
        """Probe until cancelled, then close all connections within two seconds, also those to servers that hang."""
        preparations = {id(one.preparation): one.preparation for one in self._watches if one.preparation is not None}
        try:
            async with asyncio.TaskGroup() as group:
                for preparation in preparations.values():
                    group.create_task(preparation.run())
                await self._schedule(group)
        finally:
            closing = [asyncio.ensure_future(watch.probe.aclose()) for watch in self._watches]
            if closing:
                await asyncio.wait(closing, timeout=_CLOSING_SECONDS)

    async def _schedule(self, group: asyncio.TaskGroup) -> None:
        start = self._clock.monotonic()
        self._stalls.sleeps_until(start)
        self._wall.observe()
        self._anchor(start)
        first = start + min(_LEAD_SECONDS, self._interval / 10)
        due: list[tuple[float, int, int]] = []  # monotonic moment, place of the watch, slot
        for place, watch in enumerate(self._watches):
            k = watch.grid.first_from(first)
            heapq.heappush(due, (watch.grid.due(k), place, k))
        while True:
            self._look_at_clocks(group)
            self._start_due(group, due)
            now = self._clock.monotonic()
            wake = min(due[0][0], now + _TICK_SECONDS) if due else now + _TICK_SECONDS
            self._stalls.sleeps_until(wake)
            await self._clock.sleep(wake - now)

    def _start_due(self, group: asyncio.TaskGroup, due: list[tuple[float, int, int]]) -> None:
        now = self._clock.monotonic()
        lost: list[tuple[Watch, float]] = []
        while due and due[0][0] <= now:
            moment, place, k = due[0]
            watch = self._watches[place]
            heapq.heapreplace(due, (watch.grid.due(k + 1), place, k + 1))
            if now - moment > self._tolerance:
                lost.append((watch, moment))
            else:
                group.create_task(self._run_slot(watch, k, moment))
        if lost:
            group.create_task(self._deliver_lost(lost))

    def _anchor(self, monotonic: float) -> None:
        # Slots keep their place within the wall clock's intervals over restarts: a slot of the budget has one of them.
        into = self._wall.at(monotonic).timestamp() % self._interval
        for watch in self._watches:
            watch.grid = replace(watch.grid, anchor=monotonic - into)

    def _look_at_clocks(self, group: asyncio.TaskGroup) -> None:
        stalled = self._stalls.woke(self._clock.monotonic())
        if stalled:
            self._metrics.record_stall(stalled)
            log.warning("prober_stalled", seconds=round(stalled, 3))
        step = self._wall.observe()
        if step is not None:
            self._metrics.record_step()
            log.warning("clock_stepped", seconds=round(step, 3))
            data = {"seconds": round(step, 6), "now": self._clock.now().isoformat()}
            group.create_task(self._announce("core.clock_stepped", "clock", data))

    async def _run_slot(self, watch: Watch, slot: int, due: float) -> None:
        begun = self._clock.monotonic()
        self._metrics.record_lag(begun - due)
        scheduled_at = self._wall.at(due)
        request = watch.request(slot, wall=self._clock.now(), now=begun)
        try:
            answer = await watch.probe.measure(request, ends=due + self._limit)
        except asyncio.CancelledError:
            await self._deliver(watch, watch.missed(scheduled_at, code="stopped", reason="the prober was stopped"))
            raise
        finished = self._clock.monotonic()
        if self._stalls.overlaps(due, finished):
            reason = "the prober did not run during this slot"
            await self._deliver(watch, watch.missed(scheduled_at, code="stalled", reason=reason))
        else:
            observation = watch.observation(answer, fresh=request.fresh, scheduled_at=scheduled_at, due=due, finished=finished)
            await self._deliver(watch, observation, answer)

    async def _deliver_lost(self, lost: Sequence[tuple[Watch, float]]) -> None:
        for place, (watch, due) in enumerate(lost):
            reason = "the prober did not run when this slot was due"
            await self._deliver(watch, watch.missed(self._wall.at(due), code="stalled", reason=reason))
            if place % _BACKLOG_STEP == 0:
                await asyncio.sleep(0)

    async def _deliver(self, watch: Watch, observation: ProbeObservation, answer: Answer | None = None) -> None:
        self._metrics.record(observation)
        hint = None
        if watch.preparation is not None and observation.outcome is Outcome.EXCLUDED:
            watch.preparation.want()
            hint = watch.preparation.hint
        system_id = answer.reading.system_id if answer is not None else None
        changes = watch.tracker.follow(observation, system_id=system_id, hint=hint)
        await _finish(self._sink(observation))
        for change in changes:
            await self._announce(change.kind, change.subject, change.data)

    async def _announce(self, kind: str, subject: str, data: Mapping[str, object]) -> None:
        await _finish(self._events(kind, subject, data))


async def _finish(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
