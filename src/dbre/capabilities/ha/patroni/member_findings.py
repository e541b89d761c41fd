"""What is wrong with single members, and with whom commits wait for."""

from collections.abc import Iterator

from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.core.checks import Finding, Severity
from dbre.core.units import format_bytes
from dbre.tools.patroni import Member

__all__ = ["member_findings", "why_no_candidate"]

_LAG_LIMIT_BYTES = 1_048_576  # Patroni's own maximum_lag_on_failover where the configuration names none


def member_findings(topology: Topology, word: PatroniWord) -> Iterator[Finding]:
    """What Patroni's members tell, beside what the databases tell of themselves."""
    view = word.view
    if view is None:
        return
    yield from _synchronous(topology.cluster, word)
    for one in view.members:
        yield from _member(topology, word, one)
    known = {word.instances.get(one.name) for one in view.members}
    for node in topology.nodes:
        if node.instance.cluster == topology.cluster and node.name not in known:
            yield Finding(
                rule="ha.not_a_member",
                severity=Severity.WARNING,
                subject=node.name,
                summary=f"{node.name} is in the inventory, and Patroni's cluster {word.scope} has no such member",
                fix="see whether Patroni runs there, and whether its postgresql.connect_address is the inventory's",
            )
    if view.scheduled_switchover is not None:
        yield Finding(
            rule="ha.switchover_scheduled",
            severity=Severity.INFO,
            subject=topology.cluster,
            summary=f"Patroni will switch over {view.scheduled_switchover}",
        )
    replicas = [one for one in view.members if not one.is_leader]
    if replicas and all(why_no_candidate(word, one) is not None for one in replicas):
        reasons = {one.name: why_no_candidate(word, one) for one in replicas}
        yield Finding(
            rule="ha.no_candidate",
            severity=Severity.ERROR,
            subject=topology.cluster,
            summary=f"if the leader of {word.scope} dies, no member can take its place",
            evidence={"reasons": reasons},
            fix="bring one replica back to where it may lead",
        )


def why_no_candidate(word: PatroniWord, member: Member) -> str | None:
    """Why a member could not take over now; None where it could."""
    if member.tags.get("nofailover") is True or str(member.tags.get("failover_priority", "1")) == "0":
        return "its tags forbid it"
    if member.state not in ("streaming", "running", "in archive recovery"):
        return f"it is {member.state or 'in an unknown state'}"
    if _is_synchronous(word) and not member.is_synchronous:
        return "commits do not wait for it, so it may lack some that were acknowledged"
    limit = (word.config or {}).get("maximum_lag_on_failover", _LAG_LIMIT_BYTES)
    if member.lag_bytes is None:
        return "nobody knows how far it is behind"
    if isinstance(limit, int) and member.lag_bytes > limit:
        return f"it is {format_bytes(member.lag_bytes)} behind, and {format_bytes(limit)} is the most that is allowed"
    return None


def _is_synchronous(word: PatroniWord) -> bool:
    mode = (word.config or {}).get("synchronous_mode")
    return mode is True or str(mode).lower() in ("on", "true", "quorum")


def _synchronous(cluster: str, word: PatroniWord) -> Iterator[Finding]:
    config = word.config or {}
    if not _is_synchronous(word) or word.view is None or word.view.leader is None or word.view.is_standby_cluster:
        return
    known = word.store.sync if word.store is not None else None
    standbys = known.standbys if known is not None else tuple(one.name for one in word.view.members if one.is_synchronous)
    if standbys:
        return
    is_strict = config.get("synchronous_mode_strict") is True
    yield Finding(
        rule="ha.no_sync_in_sync_mode",
        severity=Severity.CRITICAL if is_strict else Severity.ERROR,
        subject=cluster,
        summary=f"{word.scope} is in synchronous mode, and no replica is synchronous: "
        + ("commits wait for ever" if is_strict else "commits wait for nobody, and are lost with the primary"),
        evidence={"synchronous_mode": config.get("synchronous_mode"), "strict": is_strict},
        fix="bring a replica back",
    )


def _member(topology: Topology, word: PatroniWord, member: Member) -> Iterator[Finding]:
    name = word.instance_of(member.name)
    node = topology.node(name)
    if member.name not in word.instances:
        yield Finding(
            rule="ha.member_unknown",
            severity=Severity.WARNING,
            subject=member.name,
            summary=f"Patroni's member {member.name} at {member.host}:{member.port} is not in the inventory",
            fix="add it to the cluster: nobody watches it",
        )
    if member.is_restart_pending:
        yield Finding(
            rule="ha.restart_pending",
            severity=Severity.INFO,
            subject=name,
            summary=f"{name} waits for a restart: some settings are not in force yet",
            fix="restart the replicas first: patronictl restart",
        )
    if member.is_leader or member.state not in ("running", "streaming", "in archive recovery"):
        return
    leader = word.view.leader if word.view is not None else None
    is_forked = leader is not None and None not in (leader.timeline, member.timeline) and leader.timeline != member.timeline
    receives = any(edge.told.is_receiving for edge in topology.edges_of(name))
    is_silent_stream = node is not None and node.view is not None and not receives
    if member.state == "running" and (is_forked or is_silent_stream):
        yield Finding(
            rule="ha.zombie_replica",
            severity=Severity.ERROR,
            subject=name,
            summary=f"Patroni calls {name} running, and it "
            + ("is on another timeline than the leader" if is_forked else "receives nothing"),
            evidence={"timeline": member.timeline, "leader_timeline": leader.timeline if leader is not None else None},
            fix=f"read its log; if it cannot follow, have it made anew: patronictl reinit {word.scope} {member.name}",
        )
