"""One sweep as people and programs read it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from dbre.capabilities.ha.looking import Status
from dbre.capabilities.ha.model import Edge, Node, Outsider, Topology
from dbre.capabilities.ha.switchover.forecast import NextSwitchover
from dbre.capabilities.ha.verdict import Judgement
from dbre.core.checks import Finding, Severity
from dbre.core.text import printable
from dbre.core.units import format_bytes, format_duration
from dbre.core.view import PluginState, PluginStatus, Row
from dbre.ports.topology import NodeView

__all__ = ["plugin_status", "status_document", "status_text"]


def status_document(found: Status, now: datetime, following: NextSwitchover | None = None) -> Row:
    """Everything that a sweep found, as one document; ``following`` is the next planned change of primary."""
    topology, judgement, consulted = found.topology, found.judgement, found.consulted
    primary = topology.primary
    return {
        "cluster": topology.cluster,
        "engine": topology.engine,
        "at": now.isoformat(),
        "primary": primary.name if primary is not None else None,
        "verdicts": [one.value for one in judgement.verdicts] if judgement is not None else None,
        "action": judgement.action.value if judgement is not None else None,
        "reasons": list(judgement.reasons) if judgement is not None else [],
        "nodes": [_node(one) for one in topology.nodes],
        "edges": [_edge(one) for one in topology.edges],
        "consensus": consulted.document() if consulted is not None else None,
        "outsiders": [_outsider(one) for one in topology.outsiders],
        "findings": [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "subject": one.subject,
                "summary": one.summary,
                "evidence": dict(one.evidence),
                "fix": one.fix,
            }
            for one in found.findings
        ],
        "next_switchover": following.document() if following is not None else None,
    }


def _node(node: Node) -> Row:
    view = node.view
    return {
        "name": node.name,
        "address": str(node.instance.address),
        "cluster": node.instance.cluster,
        "aliases": [one.name for one in node.aliases],
        "contact": node.contact.value,
        "error": node.error.message if node.error is not None else None,
        "role": view.role.value if view is not None else None,
        "is_writable": view.is_writable if view is not None else None,
        "system_id": view.system_id if view is not None else None,
        "node_id": view.node_id if view is not None else None,
        "timeline": view.timeline if view is not None else None,
        "position": view.position.text if view is not None and view.position is not None else None,
        "is_replay_paused": view.is_replay_paused if view is not None else None,
        "min_apply_delay_seconds": view.min_apply_delay_seconds if view is not None else None,
        "synchronous_replicas": view.synchronous_replicas if view is not None else None,
        "slots": [_slot(view, place) for place in range(len(view.slots))] if view is not None else None,
        "logical": [
            {
                "name": one.name,
                "is_outgoing": one.is_outgoing,
                "database": one.database,
                "host": one.host,
                "is_active": one.is_active,
                "last_message_seconds": one.last_message_seconds,
            }
            for one in view.logical
        ]
        if view is not None
        else None,
    }


def _slot(view: NodeView, place: int) -> Row:
    slot = view.slots[place]
    return {
        "name": slot.name,
        "is_physical": slot.is_physical,
        "is_active": slot.is_active,
        "retained_bytes": slot.retained_bytes,
        "wal_status": slot.wal_status,
        "inactive_since": slot.inactive_since.isoformat() if slot.inactive_since is not None else None,
        "is_synced": slot.is_synced,
    }


def _edge(edge: Edge) -> Row:
    return {
        "downstream": edge.downstream,
        "upstream": edge.upstream,
        "address": str(edge.address) if edge.address is not None else None,
        "channel": edge.told.channel,
        "is_receiving": edge.told.is_receiving,
        "is_applying": edge.told.is_applying,
        "timeline": edge.told.timeline,
        "slot": edge.told.slot,
        "last_message_seconds": edge.told.last_message_seconds,
        "received": edge.told.received.text if edge.told.received is not None else None,
        "state": edge.seen.state if edge.seen is not None else None,
        "sync_state": edge.seen.sync_state if edge.seen is not None else None,
        "is_confirmed": edge.is_confirmed,
    }


def _outsider(one: Outsider) -> Row:
    return {"node": one.node, "is_upstream": one.is_upstream, "name": one.name, "address": one.address, "state": one.state}


def status_text(found: Status, following: NextSwitchover | None = None) -> str:
    """A tree of who follows whom, what they say who choose the primary, what a switchover would do, then what is wrong."""
    topology, consulted = found.topology, found.consulted
    lines = [f"{topology.cluster} ({topology.engine}): {_summary(topology, found.judgement)}", ""]
    shown: set[str] = set()
    followed = {edge.downstream for edge in topology.edges if edge.upstream is not None}
    for node in topology.nodes:
        if node.name not in followed:
            lines.extend(_tree(topology, node, shown, indent=""))
    for node in topology.nodes:  # circles have no top
        if node.name not in shown:
            lines.extend(_tree(topology, node, shown, indent=""))
    for one in topology.outsiders:
        verb = f"{one.node} follows" if one.is_upstream else f"{one.node} feeds"
        where = f" at {one.address}" if one.address is not None and one.address != one.name else ""
        lines.append(f"{verb} {printable(one.name)}{where}, which is not in the inventory")
    if consulted is not None:
        lines.extend(("", *consulted.lines()))
    if following is not None:
        lines.extend(("", *following.lines()))
    for finding in found.findings:
        lines.extend(("", f"{finding.severity.value.upper()} {finding.rule}: {finding.summary}"))
        reason = finding.evidence.get("reason")
        if reason:
            lines.append(f"  because: {printable(str(reason), limit=300)}")
        if finding.fix:
            lines.append(f"  fix: {finding.fix}")
    return "\n".join(lines) + "\n"


def plugin_status(topology: Topology, findings: Sequence[Finding], judgement: Judgement | None) -> PluginStatus:
    """The same for a monitoring plugin: the worst finding decides, and is named."""
    heaviest = max((one.severity.weight for one in findings), default=0)
    state = PluginState.CRITICAL if heaviest >= Severity.ERROR.weight else PluginState(heaviest)
    worst = f"; {findings[0].rule}: {findings[0].summary}" if heaviest else ""
    return PluginStatus(state=state, text=f"{topology.cluster}: {_summary(topology, judgement)}{worst}")


def _summary(topology: Topology, judgement: Judgement | None) -> str:
    if judgement is None:
        return "nobody can say which node is primary"
    words = ", ".join(one.value.replace("_", " ") for one in judgement.verdicts) or "healthy"
    reason = f" ({'; '.join(judgement.reasons)})" if judgement.reasons else ""
    primary = topology.primary
    return f"primary {primary.name}, {words}{reason}" if primary is not None else f"{words}{reason}"


def _tree(topology: Topology, node: Node, shown: set[str], *, indent: str, branch: str = "") -> Iterator[str]:
    if node.name in shown:
        return
    shown.add(node.name)
    yield f"{indent}{branch}{_line(topology, node)}"
    below = {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    followers = [one for name in topology.followers_of(node.name) if (one := topology.node(name)) and one.name not in shown]
    for place, follower in enumerate(followers):
        last = place == len(followers) - 1
        yield from _tree(topology, follower, shown, indent=indent + below, branch="└─ " if last else "├─ ")


def _line(topology: Topology, node: Node) -> str:
    view, address = node.view, node.instance.address
    if view is None:
        return f"{node.name}  {address}  {node.contact.value}"
    role = view.role.value if view.role.value == "replica" or view.is_writable else "primary, read-only"
    words = [node.name, str(address), role]
    if view.timeline is not None:
        words.append(f"timeline {view.timeline}")
    if view.position is not None and view.position.text:
        words.append(printable(view.position.text, limit=60))
    edge = next(iter(topology.edges_of(node.name)), None)
    if edge is not None:
        words.append(_link_words(edge))
        behind = edge.told.behind_bytes
        if behind is None and view.position is not None and edge.told.received is not None:
            behind = view.position.bytes_behind(edge.told.received)
        if behind:
            words.append(f"{format_bytes(max(behind, 0))} not applied")
    if view.is_replay_paused:
        words.append("paused")
    if view.min_apply_delay_seconds:
        words.append(f"delayed by {format_duration(view.min_apply_delay_seconds)}")
    return "  ".join(words)


def _link_words(edge: Edge) -> str:
    if not edge.told.is_receiving:
        return "receives nothing"
    state = edge.seen.state if edge.seen is not None and edge.seen.state.isalpha() else "receiving"
    return f"{state}, {edge.seen.sync_state}" if edge.seen is not None and edge.seen.sync_state else state
