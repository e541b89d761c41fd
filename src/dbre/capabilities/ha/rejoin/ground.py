"""What rejoining stands on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.fleet import Cluster, Instance
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Timeouts
from dbre.ports.forks import ForkPort
from dbre.ports.rejoin import RejoinPort

__all__ = ["RejoinGround"]

_TIMEOUTS = Timeouts(connect_seconds=5.0, statement_seconds=60.0, lock_seconds=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejoinGround:
    """Servers are reached, stopped and started as by planned changes of primary."""

    servers: SwitchoverGround
    directory: Path  # for files of lost writes
    find_place: Callable[[], Place]

    def files(self, cluster: Cluster, instance: Instance) -> RejoinPort:
        """The files of an instance on this machine. Raises: NoControl, Unsupported."""
        return self.servers.engines.get(cluster.engine).rejoining(instance)

    def forks(self, cluster: Cluster) -> ForkPort:
        """What reads lost writes. Raises: Unsupported."""
        return self.servers.engines.get(cluster.engine).forks(self.find_place())

    def access(self, cluster: Cluster, instance: Instance) -> Access:
        """Access that programs get, too."""
        return Access.to(cluster, instance.address, timeouts=_TIMEOUTS, application_name="dbre:rejoin")
