"""What rolling changes stand on; the composition root builds it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from dbre.capabilities.upgrade.config_document import UpgradeClusterDocument, UpgradeDocument
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.secrets import prepare_secrets
from dbre.ports.engine import Access, EngineRegistry, Server, Timeouts
from dbre.ports.steward import Steward
from dbre.ports.succession import HostPort

__all__ = ["UpgradeGround"]

_TIMEOUTS = Timeouts(connect_seconds=2.0, statement_seconds=10.0, lock_seconds=2.0)


def _nobody(_: Cluster) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeGround:
    """What rolling changes stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    settings: UpgradeDocument
    steward_of: Callable[[Cluster], Steward | None]  # who starts and stops the servers of a cluster beside dbre
    switch_kind: str  # the operation that makes another instance the primary
    promoter_of: Callable[[Cluster], str | None] = _nobody  # who takes a stopped primary for a dead one, and promotes another

    def limits(self, cluster: str) -> UpgradeClusterDocument:
        """What the configuration says of a cluster."""
        return self.settings.of(cluster)

    def host(self, cluster: Cluster, instance: Instance) -> HostPort:
        """The process of an instance on this machine. Raises: NoControl, Unsupported."""
        return self.engines.get(cluster.engine).host(instance)

    @asynccontextmanager
    async def server(
        self, cluster: Cluster, instance: Instance, *, purpose: str, database: str | None = None
    ) -> AsyncIterator[Server]:
        """A handle on one server, closed at the end; ``database``: another than the first of the cluster."""
        await prepare_secrets([cluster.password, cluster.replication_password])
        access = Access.to(cluster, instance.address, timeouts=_TIMEOUTS, application_name=purpose)
        if database is not None:
            access = replace(access, database=database)
        server = self.engines.get(cluster.engine).connect(access)
        try:
            yield server
        finally:
            await server.aclose()
