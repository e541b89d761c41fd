"""What one sweep says about the primary, as evidence of one observer."""

from dbre.capabilities.ha.model import Node, Topology
from dbre.capabilities.ha.verdict import Evidence, ReplicaWord
from dbre.core.checks import Finding
from dbre.ports.session import Role
from dbre.ports.topology import Contact

__all__ = ["evidence_of", "suspect_of"]


def evidence_of(topology: Topology, findings: list[Finding], *, observer: str, suspect: Node | None = None) -> Evidence | None:
    """Evidence about the cluster's primary, or about ``suspect``; None where nobody can say which node that is or was."""
    suspect = suspect or suspect_of(topology)
    if suspect is None:
        return None
    wrong = {one.subject for one in findings if one.rule == "ha.wrong_timeline"}
    replicas = tuple(
        _word(topology, one, suspect, wrong) for one in topology.nodes if one.name != suspect.name and not one.is_primary
    )
    is_dual = any(one.rule == "ha.dual_primary" for one in findings)
    view = suspect.view
    ready = sum(one.sync_state in ("sync", "quorum") and one.state == "streaming" for one in view.downstreams) if view else 0
    return Evidence(
        observers={observer: suspect.contact},
        replicas=replicas,
        writable_primaries=len(topology.primaries) if is_dual else min(len(topology.primaries), 1),
        synchronous_required=(view.synchronous_replicas or 0) if view is not None else 0,
        synchronous_ready=ready,
    )


def suspect_of(topology: Topology) -> Node | None:
    """The primary; else who calls itself so; else the one that others follow or the only one that is silent."""
    if topology.primary is not None:
        return topology.primary
    closed = [one for one in topology.nodes if one.is_primary]
    if closed:
        return closed[0]
    silent = [one for one in topology.nodes if one.view is None]
    followed = [one for one in silent if topology.followers_of(one.name)]
    return followed[0] if followed else silent[0] if len(silent) == 1 else None


def _word(topology: Topology, node: Node, suspect: Node, wrong: set[str]) -> ReplicaWord:
    if node.contact is not Contact.ANSWERED or node.view is None:
        return ReplicaWord(is_reachable=False)
    is_replica = node.view.role is Role.REPLICA
    return ReplicaWord(
        is_reachable=True,
        is_replicating=is_replica and _receives_from(topology, node, suspect),
        is_on_wrong_timeline=node.name in wrong,
        is_promised=node.view.has_upstream_configured is not False,
    )


def _receives_from(topology: Topology, node: Node, suspect: Node) -> bool:
    """From the primary, or from somebody who does: what comes from a replica proves nothing once that one receives nothing."""
    if suspect.contact.is_alive:
        return any(edge.told.is_receiving for edge in topology.edges_of(node.name))
    return any(edge.told.is_receiving and edge.upstream in (suspect.name, None) for edge in topology.edges_of(node.name))
