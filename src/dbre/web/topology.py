"""The live topology of a cluster, as far as a person may see it, as a tree of rows."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.model import Edge, Node, Topology
from dbre.capabilities.ha.sweeps import Sweep
from dbre.capabilities.ha.switchover.checks import PreCheck
from dbre.capabilities.ha.switchover.forecast import NextSwitchover, is_worth_asking
from dbre.core.checks import Finding
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.identity.model import Principal
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters

__all__ = ["Glance", "TreeRow", "glances", "seen_forecast", "seen_sweep", "tree_of"]

_PATIENCE_SECONDS = 1.0  # for what a page can do without: what is not there by then comes with the next look


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRow:
    """One node below those whom it follows."""

    depth: int
    node: Node
    edge: Edge | None
    lag: ReplicaLag | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One cluster among others. Without a sweep it is still being looked at, or could not be."""

    cluster: Cluster
    sweep: Sweep | None
    error: DbreError | None = None

    @property
    def worst(self) -> Finding | None:
        """The heaviest finding that calls for somebody."""
        found = self.sweep.status.findings if self.sweep is not None else ()
        return max((one for one in found if one.severity.weight), key=lambda one: one.severity.weight, default=None)


async def glances(wired: Services, principal: Principal) -> list[Glance]:
    """Every cluster that the principal may see: its last sweep, or a new one if that takes no longer than a second."""
    clusters = seen_clusters(wired, principal)
    asking = {one.name: asyncio.create_task(wired.sweeps.of(one)) for one in clusters}
    if asking:
        await asyncio.wait(asking.values(), timeout=_PATIENCE_SECONDS)
    found = [_glance(wired, principal, one, asking[one.name]) for one in clusters]
    return sorted(found, key=lambda one: -(one.worst.severity.weight if one.worst is not None else 0))


async def seen_sweep(wired: Services, principal: Principal, name: str) -> Sweep:
    """One cluster now. Raises: NotFound, and what a sweep raises."""
    cluster = next((one for one in seen_clusters(wired, principal) if one.name == name), None)
    if cluster is None:
        raise NotFound(f"the inventory has no cluster {name!r}", hint="dbre fleet list names them")
    return _within_sight(await wired.sweeps.of(cluster), {one.name for one in seen_clusters(wired, principal)})


async def seen_forecast(wired: Services, principal: Principal, name: str) -> NextSwitchover | None:
    """What a switchover of a cluster that the principal may see would do now; None: not worth asking, or not known yet."""
    clusters = {one.name: one for one in seen_clusters(wired, principal)}
    cluster, last = clusters[name], wired.sweeps.last(clusters[name])
    if last is None or not is_worth_asking(cluster, last.status.topology):
        return None
    asking = asyncio.create_task(wired.switchovers.of(cluster))
    await asyncio.wait([asking], timeout=_PATIENCE_SECONDS)
    if not asking.done():
        asking.cancel()  # the look itself goes on
    found = wired.switchovers.last(cluster) if asking.cancelling() else asking.result()
    if found is None:
        return None
    nodes = last.status.topology.nodes
    hidden = {one.name for one in nodes if one.instance.cluster not in clusters}
    return replace(found, in_the_way=tuple(_without(one, hidden) for one in found.in_the_way))


def tree_of(sweep: Sweep) -> Sequence[TreeRow]:
    """Every node once, each below the one that it follows."""
    topology = sweep.status.topology
    lags = {one.replica: one for one in sweep.status.lags}
    shown: set[str] = set()
    followed = {edge.downstream for edge in topology.edges if edge.upstream is not None}
    tops = [one for one in topology.nodes if one.name not in followed]
    return [row for node in (*tops, *topology.nodes) for row in _below(topology, node, lags, shown, depth=0)]  # circles last


def _below(topology: Topology, node: Node, lags: dict[str, ReplicaLag], shown: set[str], *, depth: int) -> Iterator[TreeRow]:
    if node.name in shown:
        return
    shown.add(node.name)
    yield TreeRow(depth=depth, node=node, edge=next(iter(topology.edges_of(node.name)), None), lag=lags.get(node.name))
    for name in topology.followers_of(node.name):
        follower = topology.node(name)
        if follower is not None:
            yield from _below(topology, follower, lags, shown, depth=depth + 1)


def _glance(wired: Services, principal: Principal, cluster: Cluster, asking: "asyncio.Task[Sweep]") -> Glance:
    names = {one.name for one in seen_clusters(wired, principal)}
    if not asking.done():
        asking.cancel()  # the sweep itself goes on
        last = wired.sweeps.last(cluster)
        return Glance(cluster=cluster, sweep=_within_sight(last, names) if last is not None else None)
    error = asking.exception()
    if isinstance(error, DbreError):
        return Glance(cluster=cluster, sweep=None, error=error)
    return Glance(cluster=cluster, sweep=_within_sight(asking.result(), names))


def _within_sight(sweep: Sweep, clusters: set[str]) -> Sweep:
    """Without nodes of clusters that are kept from the viewer, and without what is told of them."""
    topology = sweep.status.topology
    hidden = {one.name for one in topology.nodes if one.instance.cluster not in clusters}
    if not hidden:
        return sweep
    left = replace(
        topology,
        nodes=tuple(one for one in topology.nodes if one.name not in hidden),
        edges=tuple(one for one in topology.edges if one.downstream not in hidden and one.upstream not in hidden),
        outsiders=tuple(one for one in topology.outsiders if one.node not in hidden),
    )
    return replace(
        sweep,
        status=replace(
            sweep.status,
            topology=left,
            findings=[one for one in sweep.status.findings if not _names(one, hidden)],
            lags=[one for one in sweep.status.lags if one.replica not in hidden and one.upstream not in hidden],
        ),
    )


def _without(check: PreCheck, hidden: set[str]) -> PreCheck:
    """What is in the way is in the way for all; whose name it bears is not for all."""
    if not any(name in text for name in hidden for text in (check.subject, check.value, check.limit, check.remedy or "")):
        return check
    return replace(check, subject="a node of a cluster that is kept from you", value="not ok", limit="ok", remedy=None)


def _names(finding: Finding, hidden: set[str]) -> bool:
    return any(name in finding.subject or name in finding.summary for name in hidden)
