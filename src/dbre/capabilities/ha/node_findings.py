"""What is wrong with one node by its own word."""

from collections.abc import Iterator

from dbre.capabilities.ha.model import Node, Topology
from dbre.core.checks import Finding, Severity
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.ports.session import Role
from dbre.ports.topology import Contact, NodeView, Slot

__all__ = ["node_findings"]

_UNREACHED = {
    Contact.EXHAUSTED: "lives, and has no connection left",
    Contact.STARTING: "lives, and serves nobody: it starts, stops or recovers",
    Contact.REFUSED: "lives, and refuses our login or what it asks",
    Contact.TLS: "answers, and not as tls of its cluster demands",
    Contact.RESET: "refuses or cuts connections: no server listens there",
    Contact.TIMEOUT: "does not answer: dead, hung, or cut off from here",
}


def node_findings(topology: Topology, node: Node, *, slot_limit_bytes: int) -> Iterator[Finding]:
    """Findings about one node."""
    if node.view is None:
        yield _unreached(node)
        return
    yield from _replay(node, node.view)
    yield from _synchronous(node, node.view)
    for slot in node.view.slots:
        yield from _slot(node, slot, slot_limit_bytes)
    if node.view.role is Role.REPLICA:
        yield from _connection(topology, node, node.view)
        if node.view.is_writable:
            yield Finding(
                rule="ha.writable_replica",
                severity=Severity.WARNING,
                subject=node.name,
                summary=f"replica {node.name} takes writes, which its primary will never have",
                fix="set it read-only (read_only, replica-read-only yes)",
            )


def _unreached(node: Node) -> Finding:
    words = _UNREACHED.get(node.contact, "could not be asked")
    return Finding(
        rule="ha.unreachable" if node.contact.is_silence else "ha.not_asked",
        severity=Severity.ERROR,
        subject=node.name,
        summary=f"{node.name} {words}",
        evidence={"contact": node.contact.value, "reason": node.error.message if node.error else None},
        fix=node.error.hint if node.error is not None else None,
    )


def _replay(node: Node, view: NodeView) -> Iterator[Finding]:
    if view.is_replay_paused:
        yield Finding(
            rule="ha.paused_replay",
            severity=Severity.WARNING,
            subject=node.name,
            summary=f"{node.name} does not apply what it receives: it falls behind, and is no candidate",
            fix="resume it when its reason is over: SELECT pg_wal_replay_resume(), or START REPLICA SQL_THREAD",
        )
    if view.min_apply_delay_seconds:
        yield Finding(
            rule="ha.delayed_replica",
            severity=Severity.INFO,
            subject=node.name,
            summary=f"{node.name} applies changes {format_duration(view.min_apply_delay_seconds)} late on purpose",
        )


def _synchronous(node: Node, view: NodeView) -> Iterator[Finding]:
    if view.role is not Role.PRIMARY or not view.synchronous_replicas:
        return
    ready = sum(one.sync_state in ("sync", "quorum") and one.state == "streaming" for one in view.downstreams)
    if ready < view.synchronous_replicas:
        needed = counted(view.synchronous_replicas, "synchronous replica")
        yield Finding(
            rule="ha.commits_wait",
            severity=Severity.CRITICAL,
            subject=node.name,
            summary=f"commits on {node.name} wait for {needed}, and {ready} stream",
            evidence={"required": view.synchronous_replicas, "streaming": ready},
            fix="bring a synchronous replica back; taking the demand away loses the promise of no lost writes",
        )


def _slot(node: Node, slot: Slot, limit: int) -> Iterator[Finding]:
    if slot.wal_status == "lost":
        severity, state = Severity.ERROR, "is lost: its follower must be built anew"
    elif slot.is_active or slot.is_synced:
        return
    elif slot.wal_status in ("extended", "unreserved"):
        severity, state = Severity.ERROR, "is used by nobody and keeps more log than the server wants to"
    elif (slot.retained_bytes or 0) >= limit:
        severity, state = Severity.WARNING, "is used by nobody and keeps log"
    else:
        return
    kept = format_bytes(slot.retained_bytes) if slot.retained_bytes is not None else "unknown"
    yield Finding(
        rule="ha.stuck_slot",
        severity=severity,
        subject=node.name,
        summary=f"slot {slot.name} of {node.name} {state} ({kept})",
        evidence={
            "slot": slot.name,
            "retained_bytes": slot.retained_bytes,
            "wal_status": slot.wal_status,
            "inactive_since": slot.inactive_since.isoformat() if slot.inactive_since else None,
        },
        fix="bring its follower back, or drop it: SELECT pg_drop_replication_slot(name)",
    )


def _connection(topology: Topology, node: Node, view: NodeView) -> Iterator[Finding]:
    if any(told.is_receiving for told in view.upstreams):
        return
    if view.has_upstream_configured is False:
        yield Finding(
            rule="ha.archive_only",
            severity=Severity.INFO,
            subject=node.name,
            summary=f"{node.name} is told of no upstream: it reads an archive, or nothing",
        )
        return
    if topology.primary is None:
        return  # nobody to receive from: that is its own finding
    if all(told.received is None for told in view.upstreams):
        yield Finding(
            rule="ha.never_connected",
            severity=Severity.ERROR,
            subject=node.name,
            summary=f"replica {node.name} has received nothing since it was started",
            fix="read its log: a wrong address, a refused login or a missing slot of its upstream is told there",
        )
        return
    yield Finding(
        rule="ha.zombie_replica",
        severity=Severity.ERROR,
        subject=node.name,
        summary=f"replica {node.name} answers and receives nothing, while {topology.primary.name} is primary",
        evidence={"timeline": view.timeline},
        fix="read its log; where its timeline left the primary's, it must be rewound or built anew",
    )
