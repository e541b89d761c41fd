"""What is wrong between nodes: timelines that part, and followers that only one end knows."""

from collections.abc import Iterator

from dbre.capabilities.ha.errant import errant_of, told_of_errants
from dbre.capabilities.ha.model import Topology
from dbre.core.checks import Finding, Severity

__all__ = ["edge_findings"]


def edge_findings(topology: Topology) -> Iterator[Finding]:
    """Findings about edges."""
    yield from _timelines(topology)
    yield from _errants(topology)
    for edge in topology.edges:
        if edge.is_confirmed is False:
            yield Finding(
                rule="ha.ghost_edge",
                severity=Severity.WARNING,
                subject=edge.downstream,
                summary=f"{edge.downstream} says that it receives from {edge.upstream}, which feeds no such follower",
                evidence={"upstream": edge.upstream, "address": str(edge.address)},
                fix="look again in a minute; if it stays, the address leads to another server: compare both by hand",
            )
    for node, idle in topology.phantoms.items():
        for name in idle:
            yield Finding(
                rule="ha.ghost_edge",
                severity=Severity.WARNING,
                subject=name,
                summary=f"{node} says that it feeds {name}, which receives nothing",
                evidence={"upstream": node},
                fix="look again in a minute; a follower that was cut off is forgotten after the sender's timeout",
            )


def _timelines(topology: Topology) -> Iterator[Finding]:
    primary = topology.primary
    if primary is None or primary.view is None or primary.view.timeline is None:
        return
    for node in topology.nodes:
        view = node.view
        if view is None or view.timeline is None or node.name == primary.name or view.system_id != primary.view.system_id:
            continue
        if view.timeline == primary.view.timeline or node.is_primary:
            continue
        is_on_its_way = topology.root_of(node.name) == primary.name and any(one.is_receiving for one in view.upstreams)
        if not is_on_its_way:
            yield Finding(
                rule="ha.wrong_timeline",
                severity=Severity.ERROR,
                subject=node.name,
                summary=(
                    f"{node.name} is on timeline {view.timeline}, and primary {primary.name} on {primary.view.timeline}: "
                    "it does not follow this primary's history"
                ),
                evidence={"timeline": view.timeline, "primary": primary.name, "primary_timeline": primary.view.timeline},
                fix="rewind it to the primary's history (pg_rewind), or build it anew",
            )


def _errants(topology: Topology) -> Iterator[Finding]:
    primary = topology.primary
    if primary is None or primary.view is None or primary.view.may_have_peers:
        return
    if sum(one.instance.cluster == primary.instance.cluster for one in topology.primaries) != 1:
        return  # which of them has too much, nobody knows yet
    for node in topology.nodes:
        if node.view is None or node.name == primary.name or node.instance.cluster != primary.instance.cluster:
            continue
        if any(edge.upstream is None for edge in topology.edges_of(node.name)):
            continue  # what it has besides may be another server's
        if found := errant_of(node.view, primary.view):
            yield Finding(
                rule="ha.errant_transactions",
                severity=Severity.ERROR,
                subject=node.name,
                summary=f"{node.name} has what primary {primary.name} does not: {told_of_errants(found)}",
                evidence={
                    "primary": primary.name,
                    "ranges": [
                        {"log": one.log.name, "unit": one.log.unit, "first": one.first, "last": one.log.newest} for one in found
                    ],
                },
                fix=f"do not promote it; see what brings it back: dbre ha rejoin {topology.cluster} {node.name} --check",
            )
