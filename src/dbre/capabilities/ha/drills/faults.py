"""Which faults make a drill. Another capability has them, and the composition root hands them in."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from dbre.capabilities.ha.drills.document import DrillKind
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster

__all__ = ["DrillFault", "Faults", "Held", "LeftDead", "faults_of"]


class LeftDead(DbreError):
    """What a fault killed does not come back by itself, and a person has to see to it: nobody waits for it any more."""

    code = "ha.drill_left_dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFault:
    """One fault on one instance."""

    fault: str
    instance: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Held(Protocol):
    """A fault that is on."""

    async def end(self, *, limit_seconds: float) -> None:
        """Take it back, and see that it is gone. Raises: DbreError where it is not."""
        ...


class Faults(Protocol):
    """Faults in the hands of injectors, which take them back whatever becomes of us."""

    async def check(self, cluster: Cluster, faults: Sequence[DrillFault], *, operation: UUID | None) -> None:
        """See that they may be injected now; ``operation`` None: nobody runs it yet. Raises: PrecheckFailed, UsageError."""
        ...

    def hold(
        self, cluster: Cluster, fault: DrillFault, *, operation: UUID, seconds: float
    ) -> AbstractAsyncContextManager[Held]:
        """Inject it, and give it once it was seen to be on; it is taken back at the end of the block at the latest.

        A block that ends by ``LeftDead`` ends at once: that fault is over when a person has started the server.
        """
        ...

    async def heal(self, operation: UUID) -> int:
        """Take back what a dead process of the operation left; how many there were. Raises: DbreError where one stays."""
        ...


def faults_of(
    kind: DrillKind,
    cluster: Cluster,
    primary: str,
    *,
    agent: str | None,
    stores: Sequence[str],
    region: Sequence[str] = (),
) -> tuple[DrillFault, ...]:
    """The faults of a kind. ``agent`` is where the program listens that runs the primary, ``stores`` its consensus store,
    ``region`` who is at its site.

    Raises: UsageError where the cluster has no such part.
    """
    beside = {"beside": agent} if agent is not None else {}
    hosts = dict.fromkeys(one.rpartition(":")[0] for one in stores)
    others = [one.name for one in cluster.instances if one.name != primary]
    own = {one.address.host for one in cluster.instances}
    apart = [*others, *(one for one in hosts if one not in own)]
    match kind:
        case DrillKind.LEADER_CRASH:
            found = DrillFault(fault="crash", instance=primary)
        case DrillKind.NODE_LOSS:
            found = DrillFault(fault="crash", instance=primary, parameters={**beside, "restart": "same"} if beside else {})
        case DrillKind.FREEZE:
            found = DrillFault(fault="freeze", instance=primary, parameters=beside)
        case DrillKind.PATRONI_FREEZE:
            found = DrillFault(fault="agent-freeze", instance=primary, parameters={"endpoints": _known(agent, cluster, kind)})
        case DrillKind.DCS_LOSS:
            endpoints = _known(",".join(stores), cluster, kind)
            found = DrillFault(fault="dcs-loss", instance=primary, parameters={"endpoints": endpoints})
        case DrillKind.BLACK_HOLE:
            found = DrillFault(fault="partition", instance=primary, parameters={"peers": "everyone"})
        case DrillKind.PARTITION:
            found = DrillFault(fault="partition", instance=primary, parameters={"peers": ",".join(apart)})
        case DrillKind.REGION_LOSS:
            return tuple(DrillFault(fault="crash", instance=one) for one in region)
        case DrillKind.PLANNED:
            return ()
    return (found,)


def _known(text: str | None, cluster: Cluster, kind: DrillKind) -> str:
    if not text:
        raise UsageError(
            f"{kind} needs a cluster that Patroni runs, with its etcd: {cluster.name} is none by the configuration",
            hint=f"ha: clusters: - cluster: {cluster.name} patroni: urls: and etcd: urls:",
        )
    return text
