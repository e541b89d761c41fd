"""After a failover: what the servers themselves say, the old one included."""

from collections.abc import Sequence

from dbre.capabilities.ha.client_view import routes_lead, takes_writes
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.failover.fences import see_fenced
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.fencing.rungs import SelfFenceRung
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import Verification
from dbre.core.text import printable

__all__ = ["verify_failover", "verify_new_primary"]

_FOLLOWS_WITHIN_SECONDS = 30.0
_WRITES_WITHIN_SECONDS = 30.0
_LOOK_SECONDS = 0.5


async def verify_failover(
    ground: FailoverGround, cluster: Cluster, context: StepContext, *, old: Instance, new: Instance, fence_id: str
) -> Sequence[Verification]:
    """The new primary alone takes writes, the others receive from it, the old one is fenced, routes lead there."""
    followers = [one.input["follower"] for one in context.plan.steps if one.handler == "follow"]
    topology = await _settled(ground, cluster, context, new.name, followers)
    found = [_writable(topology, new.name), await _takes_writes(ground, cluster, context, new)]
    others = [one.name for one in topology.primaries if one.name != new.name and one.instance.cluster == cluster.name]
    found.append(_alone(new.name, others))
    found += [_follows(topology, one, new.name) for one in followers]
    found.append(await _fenced(ground, cluster, old, context, topology, fence_id=fence_id))
    found += await routes_lead(ground.routes(cluster), new.address)
    return found


async def verify_new_primary(
    ground: FailoverGround, cluster: Cluster, context: StepContext, new: Instance
) -> Sequence[Verification]:
    """It takes writes, by its own word and as a client does it, and nobody else of the cluster does."""
    topology = await _settled(ground, cluster, context, new.name, ())
    others = [one.name for one in topology.primaries if one.name != new.name and one.instance.cluster == cluster.name]
    return [
        _writable(topology, new.name),
        await _takes_writes(ground, cluster, context, new),
        _alone(new.name, others),
    ]


async def _settled(
    ground: FailoverGround, cluster: Cluster, context: StepContext, new: str, followers: Sequence[str]
) -> Topology:
    """Sweep until every follower that can follow does, for a while at most: streams need a moment."""
    end = context.clock.monotonic() + _FOLLOWS_WITHIN_SECONDS
    expected = [one for one in followers if context.results.get(f"follow:{one}", {}).get("is_following")]
    while True:
        async with Nodes(ground.engines, ground.fleet) as nodes:
            topology = await discover(nodes, ground.fleet, cluster)
        if all(_follows(topology, one, new).holds for one in expected) or context.clock.monotonic() > end:
            return topology
        await context.clock.sleep(_LOOK_SECONDS)


async def _takes_writes(ground: FailoverGround, cluster: Cluster, context: StepContext, new: Instance) -> Verification:
    """As a client does it, again and again for a while: a commit may wait for a replica that only begins to follow."""
    end = context.clock.monotonic() + _WRITES_WITHIN_SECONDS
    while True:
        found = await takes_writes(ground.engines, ground.clock, cluster, new, purpose="failover")
        if found.holds or context.clock.monotonic() > end:
            return found
        await context.clock.sleep(_LOOK_SECONDS)


def _alone(name: str, others: Sequence[str]) -> Verification:
    detail = f"{', '.join(others)} take writes as well" if others else "nobody else takes writes"
    return Verification(subject=f"{name}: alone", holds=not others, detail=detail)


def _writable(topology: Topology, name: str) -> Verification:
    node = topology.node(name)
    if node is None or node.view is None:
        seen = node.contact.value if node is not None else "not there"
        return Verification(subject=f"{name}: takes writes", holds=False, detail=seen)
    holds = node.is_primary and node.view.is_writable
    line = f", timeline {node.view.timeline}" if node.view.timeline is not None else ""
    return Verification(subject=f"{name}: takes writes", holds=holds, detail=f"{node.view.role.value}{line}")


def _follows(topology: Topology, name: str, upstream: str) -> Verification:
    edges = [one for one in topology.edges_of(name) if one.upstream == upstream and one.told.is_receiving]
    detail = f"receives from {upstream}" if edges else f"does not receive from {upstream}"
    return Verification(subject=f"{name}: follows", holds=bool(edges), detail=detail)


async def _fenced(
    ground: FailoverGround, cluster: Cluster, old: Instance, context: StepContext, topology: Topology, *, fence_id: str
) -> Verification:
    """By the rung that held, asked once more. Of a watchdog observers tell nothing more: they hear the new primary now."""
    given = context.results.get("fence", {})
    used = given.get("rung", "")
    node = topology.node(old.name)
    if used == SelfFenceRung.name and (node is None or node.view is None):
        return Verification(subject=f"{old.name}: fenced", holds=True, detail=f"{given['seen']}; it does not answer")
    try:
        found = await see_fenced(ground, cluster, old, rung=used, fence_id=fence_id, is_over=True)
    except DbreError as error:
        if ground.manager_of(cluster.name) is not None and node is not None and node.view is not None and not node.is_primary:
            return Verification(subject=f"{old.name}: fenced", holds=True, detail="it is back as a replica")
        return Verification(subject=f"{old.name}: fenced", holds=False, detail=printable(error.message))
    return Verification(subject=f"{old.name}: fenced", holds=True, detail=found.seen)
