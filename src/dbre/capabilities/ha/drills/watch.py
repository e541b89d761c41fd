"""Who takes writes, seen instance by instance ten times a second while something is broken."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from dbre.capabilities.ha.model import Node
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.ports.engine import EngineRegistry

__all__ = ["PrimaryWatch"]

_EVERY_SECONDS = 0.1
_ANSWER_SECONDS = 1.0


class PrimaryWatch:
    """Looks at every instance by itself, so that a silent one makes nobody late. Moments are those of the clients' history."""

    def __init__(self, engines: EngineRegistry, fleet: Fleet, cluster: Cluster, *, old: str, now: Callable[[], float]) -> None:
        self._nodes = Nodes(engines, fleet, limit_seconds=_ANSWER_SECONDS)
        self._cluster, self._old, self._now = cluster, old, now
        self._tasks: list[asyncio.Task[None]] = []
        self.since: float | None = None  # from when on silence of the old primary counts
        self.noticed_at: float | None = None  # first look in which the old primary took no writes
        self.promoted_at: float | None = None  # first look in which another one did
        self.new: str | None = None
        self.killed_at: float | None = None  # the old primary was seen to be dead then: who answers later has come back
        self.returned_at: float | None = None  # first look after that in which it takes writes again

    async def __aenter__(self) -> Self:
        await self._nodes.__aenter__()
        await self._nodes.prepare([self._cluster.name])
        self._tasks = [asyncio.create_task(self._follow(one)) for one in self._cluster.instances]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._tasks:
            one.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._nodes.__aexit__(kind, error, trace)

    async def settled(self, *, limit_seconds: float) -> bool:
        """Whether another instance takes writes within the limit, or the old one that was killed does again."""
        end = self._now() + limit_seconds
        while self.promoted_at is None and self.returned_at is None and self._now() < end:
            for one in self._tasks:
                if one.done():
                    one.result()
            await asyncio.sleep(_EVERY_SECONDS / 2)
        return self.promoted_at is not None or self.returned_at is not None

    async def _follow(self, instance: Instance) -> None:
        while True:
            asked_at = self._now()
            node = await self._nodes.ask(instance)
            self._take(instance.name, node, asked_at)
            await asyncio.sleep(_EVERY_SECONDS)

    def _take(self, name: str, node: Node, asked_at: float) -> None:
        takes_writes = node.is_primary and node.view is not None and node.view.is_writable
        if self.since is None or asked_at < self.since:
            return
        if name == self._old and not takes_writes and self.noticed_at is None:
            self.noticed_at = self._now()
        if name == self._old and takes_writes and self.killed_at is not None and asked_at > self.killed_at:
            self.returned_at = self.returned_at or self._now()
        if name != self._old and takes_writes and self.promoted_at is None:
            self.promoted_at, self.new = self._now(), name
