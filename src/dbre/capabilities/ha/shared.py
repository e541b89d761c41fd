"""Looks at clusters that several share: one at a time a cluster, and none sooner than the last one has grown old."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from dbre.core.clock import Clock
from dbre.core.fleet import Cluster

__all__ = ["Dated", "Shared"]

_FRESH = timedelta(seconds=2)


class Dated(Protocol):
    """What was seen at a moment."""

    @property
    def at(self) -> datetime:
        """When it was seen."""
        ...


Seen = TypeVar("Seen", bound=Dated)


class Shared(Generic[Seen]):
    """The newest look at each cluster that somebody wants to see."""

    def __init__(self, look: Callable[[Cluster], Awaitable[Seen]], clock: Clock, *, fresh: timedelta = _FRESH) -> None:
        self._look, self._clock, self._fresh = look, clock, fresh
        self._last: dict[str, Seen] = {}
        self._running: dict[str, asyncio.Task[Seen]] = {}

    def last(self, cluster: Cluster) -> Seen | None:
        """The last one, however old; None: there was none yet."""
        return self._last.get(cluster.name)

    async def of(self, cluster: Cluster) -> Seen:
        """The last one while it is fresh, else a new one, shared by all who wait for it.

        Raises: what the look raises.
        """
        last = self._last.get(cluster.name)
        if last is not None and self._clock.now() - last.at < self._fresh:
            return last
        running = self._running.get(cluster.name)
        if running is None:
            running = self._running[cluster.name] = asyncio.create_task(self._take(cluster))
        return await asyncio.shield(running)  # one viewer who leaves ends it for nobody else

    async def _take(self, cluster: Cluster) -> Seen:
        try:
            found = self._last[cluster.name] = await self._look(cluster)
            return found
        finally:
            del self._running[cluster.name]
