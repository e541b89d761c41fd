"""Sweeps of clusters that several viewers share."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.consulting import consultation
from dbre.capabilities.ha.looking import Status, read_status
from dbre.capabilities.ha.nodes import Nodes
from dbre.capabilities.ha.shared import Shared
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["Sweep", "Sweeps", "sweep"]

_SLOT_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A cluster at one moment."""

    status: Status
    at: datetime


async def sweep(
    engines: EngineRegistry, fleet: Fleet, cluster: Cluster, clock: Clock, settings: HaDocument, *, nodes: Nodes | None = None
) -> Sweep:
    """Look at a cluster now, over sessions that the caller keeps or over new ones. Raises: SecretUnavailable, UsageError."""
    consult = consultation(settings.of(cluster.name), fleet, cluster, clock)
    status = await read_status(
        engines, fleet, cluster, seed=None, slot_limit_bytes=_SLOT_LIMIT_BYTES, consult=consult, nodes=nodes
    )
    return Sweep(status=status, at=clock.now())


Sweeps: TypeAlias = Shared[Sweep]
