"""Sessions with the servers of clusters that are looked at again and again, kept while somebody looks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from dbre.capabilities.ha.nodes import Nodes
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry
from dbre.ports.kept import Kept

__all__ = ["KEPT_SECONDS", "KeptNodes", "kept_nodes"]

KEPT_SECONDS = 60.0
"""Sessions that nobody used for so long are closed: servers have few places, and need none for pages that nobody reads."""


class KeptNodes:
    """One ``Nodes`` a cluster, so that no cluster waits for another one; an asynchronous context, which closes them."""

    def __init__(self, engines: EngineRegistry, fleet: Fleet, clock: Clock) -> None:
        self._engines, self._fleet, self._clock = engines, fleet, clock
        self._open: dict[str, Nodes] = {}
        self._users: dict[str, int] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._closing.values():
            one.cancel()
        await asyncio.gather(*self._closing.values(), return_exceptions=True)
        await asyncio.gather(*(one.aclose() for one in self._open.values()))
        self._open.clear()

    @asynccontextmanager
    async def of(self, cluster: str) -> AsyncIterator[Nodes]:
        """Lend the handles of a cluster; they stay open for the next who asks soon."""
        closing = self._closing.pop(cluster, None)
        if closing is not None:
            closing.cancel()
        nodes = self._open.setdefault(cluster, Nodes(self._engines, self._fleet))
        self._users[cluster] = self._users.get(cluster, 0) + 1
        try:
            yield nodes
        finally:
            self._users[cluster] -= 1
            if not self._users[cluster] and cluster in self._open:
                self._closing[cluster] = asyncio.create_task(self._close_later(cluster))

    async def _close_later(self, cluster: str) -> None:
        await self._clock.sleep(KEPT_SECONDS)
        nodes = self._open.pop(cluster)  # before anything is waited for: whoever asks now gets new ones
        del self._closing[cluster]
        await nodes.aclose()


async def kept_nodes(things: Kept | None, engines: EngineRegistry, fleet: Fleet) -> Nodes | None:
    """Handles that a command goes on with each time that it is repeated; None: each time opens its own."""
    return await things.use("ha.nodes", lambda: Nodes(engines, fleet)) if things is not None else None
