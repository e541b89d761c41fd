"""What planned changes of primary stand on; the composition root builds it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.handing_over import HandOver
from dbre.capabilities.ha.switchover.other_work import OtherWork, Rehearsal
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.secrets import prepare_secrets
from dbre.ports.engine import Access, EngineRegistry, Server, Timeouts
from dbre.ports.route import Route
from dbre.ports.succession import HostPort

__all__ = ["SwitchoverGround", "Timing"]

_TIMEOUTS = Timeouts(connect_seconds=2.0, statement_seconds=5.0, lock_seconds=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long an earlier change of primary of a cluster took from the last write on the old to the first on the new."""

    seconds: float
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchoverGround:
    """What planned changes of primary stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    settings: HaDocument
    routes: Callable[[Cluster], Sequence[Route]]
    hand_over_of: Callable[[Cluster], HandOver | None]  # None: dbre, or the engine, does it
    last_timing: Callable[[str], Awaitable[Timing | None]]
    other_work: Callable[[str], Awaitable[Sequence[OtherWork] | None]]  # on a cluster, now; None: there is no state store
    rehearsal: Callable[[str], Awaitable[Rehearsal | None]]

    def limits(self, cluster: str) -> SwitchoverDocument:
        """What the configuration says of planned changes of a cluster; the defaults where it says nothing."""
        return self.settings.of(cluster).switchover or SwitchoverDocument.model_validate({})

    def host(self, cluster: Cluster, instance: Instance) -> HostPort:
        """The process of an instance on this machine. Raises: NoControl, Unsupported."""
        return self.engines.get(cluster.engine).host(instance)

    async def open(self, cluster: Cluster, instance: Instance, *, purpose: str) -> Server:
        """A handle on one server, to be closed; what is asked of it may take minutes."""
        await prepare_secrets([cluster.password, cluster.replication_password])
        access = Access.to(cluster, instance.address, timeouts=_TIMEOUTS, application_name=purpose)
        return self.engines.get(cluster.engine).connect(access)

    @asynccontextmanager
    async def server(self, cluster: Cluster, instance: Instance, *, purpose: str) -> AsyncIterator[Server]:
        """The same, closed at the end."""
        server = await self.open(cluster, instance, purpose=purpose)
        try:
            yield server
        finally:
            await server.aclose()
