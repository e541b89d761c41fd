"""What failovers stand on; the composition root builds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.failover.config_document import FailoverDocument
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.programs.account import Account
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry
from dbre.ports.route import Route
from dbre.ports.succession import HostPort

__all__ = ["FailoverGround"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverGround:
    """What failovers stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    settings: HaDocument
    store: Store | None  # None: no reports of observers can be read, and no earlier failover is known
    routes: Callable[[Cluster], Sequence[Route]]
    account: Callable[[], Account]  # who runs the operator's commands

    def failover_of(self, cluster: str) -> FailoverDocument:
        """What the configuration says of failovers of a cluster; the defaults where it says nothing."""
        return self.settings.of(cluster).failover or FailoverDocument.model_validate({})

    def manager_of(self, cluster: str) -> str | None:
        """What else promotes in a cluster, and starts its servers; None: nothing does."""
        said = self.settings.of(cluster)
        return "Patroni" if said.patroni is not None else "Redis Sentinel" if said.sentinel is not None else None

    def host(self, cluster: Cluster, instance: Instance) -> HostPort:
        """The process of an instance on this machine. Raises: NoControl, Unsupported."""
        return self.engines.get(cluster.engine).host(instance)
