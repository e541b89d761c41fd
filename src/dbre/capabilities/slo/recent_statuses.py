"""The state of the SLOs of a cluster, read at most once a second however many ask."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from dbre.capabilities.slo.definition import Definition, instances_of
from dbre.capabilities.slo.engine import SloEngine
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.reading import LOST_AFTER
from dbre.capabilities.slo.stored_history import StoredHistory
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.fleet import Fleet
from dbre.core.store import Store

__all__ = ["RecentStatuses", "live_statuses", "stored_statuses"]

Read = Callable[[str], Awaitable[Sequence[SloStatus]]]
_READ_SECONDS = 10.0


@dataclass(slots=True)
class _Reading:
    task: "asyncio.Task[Sequence[SloStatus]]"
    ended: float | None = None  # by the monotonic clock


class RecentStatuses:
    """Reads the state of one cluster's SLOs; an answer is used again for a second after it was had.

    A reading that takes longer than its asker waits goes on, so that whoever asks next has it.
    """

    def __init__(self, read: Read, clock: Clock, *, kept_seconds: float = 1.0) -> None:
        self._read = read
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._readings: dict[str, _Reading] = {}

    async def of(self, cluster: str) -> Sequence[SloStatus]:
        """The state now, or of at most a second ago. Raises: whatever reading raises."""
        reading = self._readings.get(cluster)
        if reading is None or self._is_old(reading):
            reading = self._begin(cluster)
        return await asyncio.shield(reading.task)

    def unread_for(self, seconds: float) -> tuple[str, ...]:
        """The clusters that were read before, and not within so many seconds."""
        now = self._clock.monotonic()
        return tuple(name for name, one in self._readings.items() if one.ended is not None and now - one.ended >= seconds)

    def _is_old(self, reading: _Reading) -> bool:
        return reading.ended is not None and self._clock.monotonic() - reading.ended >= self._kept_seconds

    def _begin(self, cluster: str) -> _Reading:
        reading = self._readings[cluster] = _Reading(asyncio.ensure_future(self._limited(cluster)))
        reading.task.add_done_callback(lambda task: self._end(cluster, reading, task))
        return reading

    async def _limited(self, cluster: str) -> Sequence[SloStatus]:
        async with asyncio.timeout(_READ_SECONDS):
            return await self._read(cluster)

    def _end(self, cluster: str, reading: _Reading, task: "asyncio.Task[Sequence[SloStatus]]") -> None:
        reading.ended = self._clock.monotonic()
        if (task.cancelled() or task.exception() is not None) and self._readings.get(cluster) is reading:
            del self._readings[cluster]  # an error is not kept: the next who asks tries anew


def live_statuses(engine: SloEngine, clock: Clock) -> RecentStatuses:
    """From the running engine of this process."""

    async def read(cluster: str) -> Sequence[SloStatus]:
        if not engine.health.is_started:
            raise Unreachable("the history of the SLOs is not loaded yet", hint="dbre db status; the log says slo_store_failed")
        return await engine.status(cluster=cluster)

    return RecentStatuses(read, clock)


def stored_statuses(
    store: Store, definitions: Sequence[Definition], fleet: Fleet, clock: Clock, *, lost_after: timedelta = LOST_AFTER
) -> RecentStatuses:
    """From the store that a control plane elsewhere fills; what was read is kept, and followed from then on."""

    histories: dict[str, StoredHistory] = {}

    async def read(cluster: str) -> Sequence[SloStatus]:
        if cluster not in histories:
            part = replace(fleet, clusters=tuple(one for one in fleet.clusters if one.name == cluster))
            histories[cluster] = StoredHistory(store, cluster, instances_of(definitions, part), clock, lost_after=lost_after)
        return await histories[cluster].statuses()

    return RecentStatuses(read, clock)
