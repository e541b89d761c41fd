"""Servers of a fleet, asked for their view side by side, each within its time; connections are kept between sweeps."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from dbre.capabilities.ha.model import Node
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Fleet, Instance
from dbre.core.secrets import SecretUnavailable, prepare_secrets
from dbre.ports.engine import Access, EngineRegistry, Server, Timeouts
from dbre.ports.topology import Contact, NodeView

__all__ = ["NODE_SECONDS", "Nodes", "views_of"]

NODE_SECONDS = 5.0
"""What one node may take, whatever its driver does."""

_TIMEOUTS = Timeouts(connect_seconds=1.5, statement_seconds=2.0, lock_seconds=0.5)
_NO_LIMITS: Mapping[str, float] = {}
_AT_WORK = 24  # servers that are talked to at once: more would make each other late, and look dead
_QUIET_SECONDS = 0.15  # one that has not answered by then costs nothing but waiting, and holds up nobody


class Nodes:
    """Handles on the instances of a fleet; an asynchronous context, which closes them."""

    def __init__(
        self,
        engines: EngineRegistry,
        fleet: Fleet,
        *,
        limit_seconds: float = NODE_SECONDS,
        limits: Mapping[str, float] = _NO_LIMITS,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> None:
        self._engines = engines
        self._clusters = {cluster.name: cluster for cluster in fleet.clusters}
        self._timeouts = timeouts
        self._limit_seconds = min(limit_seconds, NODE_SECONDS)
        self._limits = limits  # of single instances, in the place of that of all
        self._open: dict[str, Server] = {}
        self._without_password: dict[str, DbreError] = {}
        self._silent: set[str] = set()
        self._places = asyncio.Semaphore(_AT_WORK)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every session; waits for no server."""
        servers, self._open = list(self._open.values()), {}
        await asyncio.gather(*(one.aclose() for one in servers))

    async def prepare(self, clusters: Sequence[str]) -> None:
        """Read the passwords of some clusters. One that cannot be read is the answer of every node there."""
        for name in clusters:
            try:
                await prepare_secrets([self._clusters[name].password])
            except SecretUnavailable as error:
                self._without_password[name] = error
            else:
                self._without_password.pop(name, None)  # it could not be read last time

    def silent_first(self, instances: Iterable[Instance]) -> list[Instance]:
        """Those that did not answer last time before the others: they cost nothing but waiting, which so begins first."""
        return sorted(instances, key=lambda one: one.name not in self._silent)

    async def ask(self, instance: Instance) -> Node:
        """The view of one instance; never raises for its sake, and never takes longer than the limit once it is begun."""
        await self._places.acquire()
        asking = asyncio.create_task(self._ask(instance))
        try:
            try:
                await asyncio.wait({asking}, timeout=_QUIET_SECONDS)
            finally:
                self._places.release()
            found = await asking
        finally:  # whoever is cancelled leaves nobody behind who opens a session when all are closed
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
        (self._silent.add if found.contact is Contact.TIMEOUT else self._silent.discard)(instance.name)
        return found

    async def _ask(self, instance: Instance) -> Node:
        missing = self._without_password.get(instance.cluster)
        if missing is not None:
            return Node(instance=instance, contact=Contact.UNKNOWN, view=None, error=missing)
        return await self._look(instance)

    async def _look(self, instance: Instance) -> Node:
        """One question over the connection that is kept, within the limit."""
        try:
            server = self._server(instance)
        except DbreError as error:  # a driver that is not installed
            return Node(instance=instance, contact=Contact.UNKNOWN, view=None, error=error)
        try:
            async with asyncio.timeout(self._limit_of(instance)):
                view = await server.topology.view(heartbeat=instance.cluster)
        except TimeoutError:
            await self._forget(instance)
            return self._late(instance)
        except DbreError as error:
            await self._forget(instance)
            return Node(instance=instance, contact=server.topology.contact(error), view=None, error=error)
        return Node(instance=instance, contact=Contact.ANSWERED, view=view)

    def _late(self, instance: Instance) -> Node:
        late = Unreachable(f"{instance.name} at {instance.address} did not answer within {self._limit_of(instance):g} s")
        return Node(instance=instance, contact=Contact.TIMEOUT, view=None, error=late)

    def _limit_of(self, instance: Instance) -> float:
        return min(self._limits.get(instance.name, self._limit_seconds), NODE_SECONDS)

    async def _forget(self, instance: Instance) -> None:
        """Ask anew next time: a handle that has failed often would say so without looking."""
        server = self._open.pop(instance.name, None)
        if server is not None:
            await server.aclose()

    def _server(self, instance: Instance) -> Server:
        if instance.name not in self._open:
            self._open[instance.name] = self._connect(instance)
        return self._open[instance.name]

    def _connect(self, instance: Instance) -> Server:
        """A new handle, which connects when it is asked. Raises: DbreError where the driver is not installed."""
        cluster = self._clusters[instance.cluster]
        own, longest = self._timeouts, self._limits.get(instance.name, 0.0)
        connect, statement = max(own.connect_seconds, longest), max(own.statement_seconds, longest)
        timeouts = replace(own, connect_seconds=connect, statement_seconds=statement)
        access = Access.to(cluster, instance.address, timeouts=timeouts, application_name="dbre:ha")
        return self._engines.get(cluster.engine).connect(replace(access, max_connections=1))


def views_of(nodes: Sequence[Node]) -> dict[str, NodeView]:
    """The views of those who answered, by name."""
    return {one.name: one.view for one in nodes if one.view is not None}
