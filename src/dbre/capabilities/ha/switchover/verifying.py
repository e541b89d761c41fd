"""Whether the change of primary has come about, by the word of the servers and of the routes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, EndpointPurpose, Instance
from dbre.core.operation.definition import Verification
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.engine import Access
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest

__all__ = ["follows", "is_only_primary", "verify"]

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.2
_DEADLINES = ProbeDeadlines(connect_seconds=2.0, statement_seconds=2.0, total_seconds=5.0)


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
            await _takes_writes(ground, cluster, new),
            *await _routes(ground, cluster, new),
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


async def _takes_writes(ground: SwitchoverGround, cluster: Cluster, new: Instance) -> Verification:
    """Write the heartbeat and read it back; where dbre may not, its own word that it is writable stands."""
    prober = ground.engines.get(cluster.engine).probe(Access.to(cluster, new.address, application_name="dbre:switchover"))
    subject = f"{new.name}: write and read back"
    request = ProbeRequest(
        purpose=EndpointPurpose.WRITE,
        heartbeat_id=f"{cluster.name}:switchover",
        sequence=int(ground.clock.now().timestamp() * 1_000_000),
        fresh=True,
        deadlines=_DEADLINES,
    )
    try:
        await prober.prepare()
        reading = await prober.measure(request)
    except DbreError as error:
        return Verification(subject=subject, holds=False, detail=printable(error.message, limit=300))
    finally:
        await prober.aclose()
    if reading.outcome is Outcome.GOOD:
        return Verification(subject=subject, holds=True, detail=f"in {format_duration(round(reading.phases.total_seconds, 3))}")
    is_ours = reading.outcome is Outcome.EXCLUDED  # dbre lacks the privilege: the role, which was read, must do
    return Verification(subject=subject, holds=is_ours, detail=printable(reading.reason or "", limit=300))


async def _routes(ground: SwitchoverGround, cluster: Cluster, new: Instance) -> list[Verification]:
    found: list[Verification] = []
    for route in ground.routes(cluster):
        try:
            found += [
                Verification(
                    subject=f"route {route.name}: {one.name}",
                    holds=one.is_ok or one.is_advice,  # a resolver that keeps an old answer is mended by time alone
                    detail=printable(one.seen, limit=200),
                )
                for one in await route.verify(new.address)
            ]
        except DbreError as error:
            found.append(Verification(subject=f"route {route.name}", holds=False, detail=printable(error.message, limit=300)))
    return found
