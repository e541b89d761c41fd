"""Sweeps that several viewers share: one at a time a cluster, and none sooner than the last one has grown old."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.consulting import consultation
from dbre.capabilities.ha.looking import Status, read_status
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["Sweep", "Sweeps", "sweep"]

_FRESH = timedelta(seconds=2)
_SLOT_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A cluster at one moment."""

    status: Status
    at: datetime


async def sweep(engines: EngineRegistry, fleet: Fleet, cluster: Cluster, clock: Clock, settings: HaDocument) -> Sweep:
    """Look at a cluster now. Raises: SecretUnavailable, UsageError."""
    consult = consultation(settings.of(cluster.name), fleet, cluster, clock)
    status = await read_status(engines, fleet, cluster, seed=None, slot_limit_bytes=_SLOT_LIMIT_BYTES, consult=consult)
    return Sweep(status=status, at=clock.now())


class Sweeps:
    """The newest sweep of each cluster that somebody wants to see."""

    def __init__(self, look: Callable[[Cluster], Awaitable[Sweep]], clock: Clock) -> None:
        self._look, self._clock = look, clock
        self._last: dict[str, Sweep] = {}
        self._running: dict[str, asyncio.Task[Sweep]] = {}

    def last(self, cluster: Cluster) -> Sweep | None:
        """The last one, however old; None: there was none yet."""
        return self._last.get(cluster.name)

    async def of(self, cluster: Cluster) -> Sweep:
        """The last one if it is at most two seconds old, else a new one, shared by all who wait for it.

        Raises: what the sweep raises.
        """
        last = self._last.get(cluster.name)
        if last is not None and self._clock.now() - last.at < _FRESH:
            return last
        running = self._running.get(cluster.name)
        if running is None:
            running = self._running[cluster.name] = asyncio.create_task(self._sweep(cluster))
        return await asyncio.shield(running)  # one viewer who leaves ends it for nobody else

    async def _sweep(self, cluster: Cluster) -> Sweep:
        try:
            found = self._last[cluster.name] = await self._look(cluster)
            return found
        finally:
            del self._running[cluster.name]
