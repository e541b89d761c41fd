"""Who is primary now, what runs it, and where its lease is kept."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.looking import Status, read_status
from dbre.capabilities.ha.patroni.settings_reading import lease_settings
from dbre.capabilities.ha.patroni.word import read_word
from dbre.core.checks import Severity
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.text import counted, printable
from dbre.ports.lease_settings import LeaseSettings
from dbre.tools.patroni import NodeState

__all__ = ["Agents", "Health", "find_agents", "find_health", "require_health"]

_SLOT_LIMIT_BYTES = 2**40  # slots are for status and alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a cluster stands."""

    primaries: tuple[str, ...]
    silent: tuple[str, ...]
    replicating: int
    wrong: tuple[str, ...]  # findings that are errors

    @classmethod
    def of(cls, found: Status) -> "Health":
        """By one sweep."""
        topology = found.topology
        return cls(
            primaries=tuple(one.name for one in topology.primaries),
            silent=tuple(one.name for one in topology.nodes if one.view is None),
            replicating=len({one.downstream for one in topology.edges if one.told.is_receiving}),
            wrong=tuple(one.summary for one in found.findings if one.severity.weight >= Severity.ERROR.weight),
        )

    def lacks(self, *, replicating: int) -> str | None:
        """What is missing until the cluster is whole; None: nothing."""
        if not self.primaries:
            return "no instance takes writes"
        if len(self.primaries) > 1:
            return f"{len(self.primaries)} primaries instead of one: {', '.join(self.primaries)}"
        if self.silent:
            return f"{', '.join(self.silent)} does not answer"
        if self.replicating < replicating:
            return f"{counted(self.replicating, 'replica')} replicating instead of {replicating}"
        return self.wrong[0] if self.wrong else None


async def find_health(ground: DrillGround, cluster: Cluster) -> Health:
    """Sweep once."""
    status = await read_status(ground.engines, ground.fleet, cluster, seed=None, slot_limit_bytes=_SLOT_LIMIT_BYTES)
    return Health.of(status)


async def require_health(ground: DrillGround, cluster: Cluster) -> Health:
    """A cluster that may be drilled. Raises: PrecheckFailed saying what is wrong with it."""
    found = await find_health(ground, cluster)
    lacking = found.lacks(replicating=1)
    if lacking is not None:
        raise PrecheckFailed(
            f"{cluster.name} is not whole: {printable(lacking, limit=300)}",
            hint=f"mend it first: dbre ha status {cluster.name}",
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """Patroni beside the primary, its store, and its settings; nothing where no Patroni is configured."""

    agent: str | None = None  # host:port of the REST API of the primary's Patroni
    stores: tuple[str, ...] = ()  # host:port of each member
    settings: LeaseSettings | None = None
    has_store_leader_beside: bool = False  # on the primary's machine


async def find_agents(ground: DrillGround, cluster: Cluster, primary: str) -> Agents:
    """Ask Patroni. Raises: PrecheckFailed where that of the primary is not found."""
    document = ground.settings.of(cluster.name).patroni
    if document is None:
        return Agents()
    word = await read_word(document, ground.fleet, cluster, ground.clock)
    node = next((one for one in word.nodes if isinstance(one, NodeState) and word.instance_of(one.name) == primary), None)
    if node is None or word.config is None:
        raise PrecheckFailed(
            f"Patroni of {primary} does not answer, or is not among the addresses of the configuration",
            hint=f"ha: clusters: - cluster: {cluster.name} patroni: urls:",
        )
    return Agents(
        agent=_host_port(node.url),
        stores=tuple(_host_port(one) for one in document.etcd.urls) if document.etcd is not None else (),
        settings=lease_settings(word.config),
        has_store_leader_beside=word.store_leader_beside_primary is not None,
    )


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"
