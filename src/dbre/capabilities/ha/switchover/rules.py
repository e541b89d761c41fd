"""The checks of a planned change from one primary to one candidate, over a survey: pure rules."""

from collections.abc import Iterator
from itertools import chain

from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.follower_rules import follower_checks
from dbre.capabilities.ha.switchover.server_rules import server_checks
from dbre.capabilities.ha.switchover.survey import Survey
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.route import RouteCheck

__all__ = ["cluster_checks", "pair_checks", "route_check"]

_TOPOLOGY = "topology"


def cluster_checks(found: Survey) -> list[PreCheck]:
    """What does not depend on the candidate."""
    names = [one.name for one in found.topology.primaries]
    silent = [one.name for one in found.topology.nodes if one.view is None]
    return [
        PreCheck(
            rule="one_primary",
            subject=found.cluster.name,
            state=CheckState.OK if len(names) == 1 else CheckState.FAIL,
            value=", ".join(names) or "none",
            limit="exactly one that takes writes",
            source=_TOPOLOGY,
            remedy="dbre ha failover where it is dead; where there are two, end one of them",
        ),
        PreCheck(
            rule="all_answer",
            subject=found.cluster.name,
            state=CheckState.WARN if silent else CheckState.OK,
            value="no answer from " + ", ".join(silent) if silent else f"all {len(found.topology.nodes)} answer",
            limit="every instance",
            source=_TOPOLOGY,
            remedy="a replica that does not answer goes on following the old primary; start it first",
        ),
    ]


def pair_checks(found: Survey, old: str, new: str, limits: SwitchoverDocument) -> list[PreCheck]:
    """Everything about these two, and about those that will follow the new one."""
    return list(
        chain(
            _stream_checks(found, old, new, limits),
            server_checks(found, old, new, limits),
            follower_checks(found, old, new),
            _route_states(found, old),
        )
    )


def route_check(route: str, one: RouteCheck) -> PreCheck:
    """What a route says of the new address."""
    return PreCheck(
        rule=f"route_{printable(one.name, limit=60).replace(' ', '_')}",
        subject=f"route {route}",
        state=CheckState.OK if one.is_ok else CheckState.WARN if one.is_advice else CheckState.FAIL,
        value=printable(one.seen, limit=200),
        limit=printable(one.wanted, limit=200),
        source="the route itself",
        remedy=one.remedy,
    )


def _stream_checks(found: Survey, old: str, new: str, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    nodes = {one.name: one for one in found.topology.nodes}
    before, after = nodes[old].view, nodes[new].view
    assert before is not None  # noqa: S101 -- both have answered
    assert after is not None  # noqa: S101
    edge = next((one for one in found.topology.edges_of(new) if one.upstream == old), None)
    yield _check(
        "candidate_streams",
        new,
        is_ok=edge is not None and edge.told.is_receiving is True and edge.is_confirmed is not False,
        value="does not follow it" if edge is None else "receives" if edge.told.is_receiving else "receives nothing",
        limit=f"receives from {old}",
        remedy="see dbre ha status, and why it does not",
    )
    if before.timeline is not None or after.timeline is not None:
        yield _check(
            "same_timeline", new, is_ok=before.timeline == after.timeline,
            value=str(after.timeline), limit=str(before.timeline), remedy="make the replica anew",
        )  # fmt: skip
    if before.system_id is not None and after.system_id is not None:
        yield _check(
            "same_system", new, is_ok=before.system_id == after.system_id,
            value=after.system_id, limit=before.system_id, remedy="it is a copy of another database",
        )  # fmt: skip
    yield from _lag_checks(found, new, limits)
    yield _check(
        "replay_runs", new, is_ok=not after.is_replay_paused,
        value="paused" if after.is_replay_paused else "runs", limit="runs", remedy="resume it, or START SLAVE SQL_THREAD",
    )  # fmt: skip
    delay = after.min_apply_delay_seconds or 0.0
    yield _check(
        "no_apply_delay", new, is_ok=delay == 0,
        value=format_duration(delay), limit="0 s", remedy="choose another one, or end its delay first",
    )  # fmt: skip


def _lag_checks(found: Survey, new: str, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    lag = found.lags.get(new)
    source = "dbre ha lag"
    if lag is not None and lag.transactions is not None:
        yield PreCheck(
            rule="lag_transactions", subject=new, source=source, limit="caught up within the limit of catch_up",
            value=counted(lag.transactions, "transaction"), state=CheckState.OK,
        )  # fmt: skip
    else:
        known = lag.total_bytes if lag is not None else None
        yield PreCheck(
            rule="lag_bytes",
            subject=new,
            state=CheckState.FAIL if known is None or known > limits.max_lag_bytes else CheckState.OK,
            value="unknown" if known is None else format_bytes(known),
            limit=f"at most {format_bytes(limits.max_lag_bytes)}",
            source=source,
            remedy="wait, or choose another one; ha: clusters: switchover: max_lag",
        )
    age, longest = lag.seconds if lag is not None else None, limits.max_lag_time.total_seconds()
    if age is not None:
        yield PreCheck(
            rule="lag_time",
            subject=new,
            state=CheckState.FAIL if age > longest else CheckState.OK,
            value=format_duration(age),
            limit=f"at most {format_duration(longest)}",
            source="heartbeats",
            remedy="wait, and see why it is behind",
        )


def _route_states(found: Survey, old: str) -> Iterator[PreCheck]:
    address = found.instances[old].address
    for route in found.routes:
        if route.state is None:
            yield PreCheck(
                rule="route_answers", subject=f"route {route.name}", state=CheckState.FAIL, limit="tells where it leads",
                value=printable(route.error.message if route.error else "", limit=300), source=route.kind,
                remedy="dbre ha route check",
            )  # fmt: skip
            continue
        shown = ", ".join(str(one) for one in route.state.addresses) or "nowhere"
        yield PreCheck(
            rule="route_leads_here", subject=f"route {route.name}",
            state=CheckState.OK if address in route.state.addresses else CheckState.WARN, value=f"leads to {shown}",
            limit=str(address), source=route.kind, remedy="see whether it is a route of this cluster: dbre ha route show",
        )  # fmt: skip
        if route.state.is_paused:
            yield PreCheck(
                rule="route_open", subject=f"route {route.name}", state=CheckState.WARN, value="paused already", limit="open",
                source=route.kind, remedy="somebody holds clients back; it is open after the change",
            )  # fmt: skip


def _check(rule: str, subject: str, *, is_ok: bool, value: str, limit: str, remedy: str) -> PreCheck:
    state = CheckState.OK if is_ok else CheckState.FAIL
    return PreCheck(
        rule=rule, subject=subject, state=state, value=printable(value, limit=200), limit=limit, source=_TOPOLOGY, remedy=remedy
    )
