"""What is wrong with a topology, as findings: pure functions of one sweep."""

from collections import defaultdict
from collections.abc import Iterator

from dbre.capabilities.ha.edge_findings import edge_findings
from dbre.capabilities.ha.model import Node, Topology
from dbre.capabilities.ha.node_findings import node_findings
from dbre.core.checks import Finding, Severity, worst_first

__all__ = ["SLOT_LIMIT_BYTES", "findings_of"]

SLOT_LIMIT_BYTES = 2**30
"""What a slot that nobody uses may keep of the log without being told."""


def findings_of(topology: Topology, *, slot_limit_bytes: int = SLOT_LIMIT_BYTES) -> list[Finding]:
    """Everything that is wrong, the worst first."""
    found = [*_primaries(topology), *_identities(topology)]
    for node in topology.nodes:
        found.extend(node_findings(topology, node, slot_limit_bytes=slot_limit_bytes))
    found.extend(edge_findings(topology))
    return worst_first(found)


def _primaries(topology: Topology) -> Iterator[Finding]:
    groups: dict[str, list[Node]] = defaultdict(list)
    for node in topology.primaries:
        if node.view is not None and not node.view.may_have_peers:
            groups[node.view.system_id or node.instance.cluster].append(node)
    for group in groups.values():
        if len(group) > 1:
            names = [node.name for node in group]
            yield Finding(
                rule="ha.dual_primary",
                severity=Severity.CRITICAL,
                subject=topology.cluster,
                summary=f"{', '.join(names)} all take writes of one database: commits of one are lost to the other",
                evidence={"primaries": names, "timelines": [node.view.timeline for node in group if node.view]},
                fix="fence the one that clients should not write to, keep its files, and find out which writes only it has",
            )
    if not topology.primaries and topology.nodes:
        yield _no_primary(topology)


def _no_primary(topology: Topology) -> Finding:
    silent = [node.name for node in topology.nodes if node.view is None]
    closed = [node.name for node in topology.nodes if node.is_primary]
    if closed:
        summary = f"{', '.join(closed)} calls itself primary, and takes no writes"
        fix = "find out who made it read-only, and why, before it is opened again"
    elif silent:
        summary = f"no primary is seen, and {', '.join(silent)} did not answer"
        fix = "reach what did not answer from another place before anything is promoted"
    else:
        summary, fix = (
            "all nodes are replicas: nobody takes writes",
            "find out who was primary last, then promote the most advanced",
        )
    return Finding(
        rule="ha.no_primary",
        severity=Severity.CRITICAL,
        subject=topology.cluster,
        summary=summary,
        evidence={"unanswered": silent, "read_only": closed},
        fix=fix,
    )


def _identities(topology: Topology) -> Iterator[Finding]:
    by_id: dict[str, list[Node]] = defaultdict(list)
    by_cluster: dict[str, list[Node]] = defaultdict(list)
    for node in topology.nodes:
        if node.view is not None and node.view.node_id is not None:
            by_id[node.view.node_id].append(node)
        if node.view is not None and node.view.system_id is not None:
            by_cluster[node.instance.cluster].append(node)
        if node.aliases:
            others = [one.name for one in node.aliases]
            yield Finding(
                rule="ha.same_server_twice",
                severity=Severity.WARNING,
                subject=node.name,
                summary=f"{node.name} and {', '.join(others)} are one server process under several addresses",
                evidence={"names": [node.name, *others]},
                fix="name each server once in the inventory; other addresses belong to endpoints",
            )
    for identity, nodes in by_id.items():
        if len(nodes) > 1:
            names = [node.name for node in nodes]
            yield Finding(
                rule="ha.cloned_identity",
                severity=Severity.ERROR,
                subject=topology.cluster,
                summary=f"{', '.join(names)} have one identity, {identity}: replication cannot tell them apart",
                evidence={"names": names, "identity": identity},
                fix="give each server an identity of its own (server_id, auto.cnf) and restart it",
            )
    for name, nodes in by_cluster.items():
        systems = {node.name: node.view.system_id for node in nodes if node.view is not None}
        if len(set(systems.values())) > 1:
            yield Finding(
                rule="ha.foreign_system",
                severity=Severity.ERROR,
                subject=name,
                summary=f"cluster {name} holds copies of {len(set(systems.values()))} different databases",
                evidence={"systems": systems},
                fix="correct the inventory, or build the stranger anew from this cluster's primary",
            )
