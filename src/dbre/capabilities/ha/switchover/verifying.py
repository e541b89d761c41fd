"""Whether the change of primary has come about, by the word of the servers and of the routes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.client_view import routes_lead, takes_writes
from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.definition import Verification

__all__ = ["follows", "is_only_primary", "verify"]

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.2


async def verify(
    ground: SwitchoverGround, cluster: Cluster, old: Instance, new: Instance, observed: Mapping[str, Any]
) -> Sequence[Verification]:
    """Look until all holds, or half a minute has passed: a follower takes a moment to begin to receive."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        topology, _ = await read_lag(ground.engines, ground.fleet, cluster)
        found = [
            is_only_primary(topology, new),
            *(follows(topology, name, new) for name in (old.name, *observed["followers"])),
            await takes_writes(ground.engines, ground.clock, cluster, new, purpose="switchover"),
            *await routes_lead(ground.routes(cluster), new.address),
        ]
        if all(one.holds for one in found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)


def is_only_primary(topology: Topology, new: Instance) -> Verification:
    """It takes writes, and nobody else does."""
    names = [one.name for one in topology.primaries]
    return Verification(
        subject=f"{new.name}: primary", holds=names == [new.name], detail=f"takes writes: {', '.join(names) or 'none'}"
    )


def follows(topology: Topology, name: str, new: Instance) -> Verification:
    """It receives from the primary, on its timeline."""
    node, head = topology.node(name), topology.node(new.name)
    edges = [one for one in topology.edges_of(name) if one.upstream == new.name]
    is_receiving = any(one.told.is_receiving for one in edges)
    lines = [one.view.timeline if one is not None and one.view is not None else None for one in (node, head)]
    is_same = None in lines or lines[0] == lines[1]
    state = "receives" if is_receiving else "follows, and receives nothing" if edges else "does not follow"
    where = f", timeline {lines[0]}" if lines[0] is not None else ""
    return Verification(subject=f"{name}: follows {new.name}", holds=is_receiving and is_same, detail=state + where)
