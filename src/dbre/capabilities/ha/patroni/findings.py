"""What is wrong where the databases, Patroni and the consensus store do not say the same: pure functions of one round."""

from collections.abc import Iterator

from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.patroni.member_findings import member_findings
from dbre.capabilities.ha.patroni.prediction import STORE_ELECTION_SECONDS
from dbre.capabilities.ha.patroni.word import PatroniWord, StoreWord
from dbre.capabilities.ha.verdict import Lease
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.text import counted
from dbre.ports.session import Role
from dbre.tools.patroni import NodeState

__all__ = ["holder_is_writable", "lease_of", "patroni_findings"]


def patroni_findings(topology: Topology, word: PatroniWord) -> list[Finding]:
    """Everything that Patroni and its store add to what the databases tell."""
    found = [*_store(topology.cluster, word), *_scopes(topology.cluster, word), *_lease(topology, word)]
    if word.view is None:
        why = word.error.message if word.error is not None else "it does not answer"
        hint = word.error.hint if word.error is not None else None
        found.append(
            Finding(
                rule="ha.patroni_unreachable",
                severity=Severity.ERROR,
                subject=topology.cluster,
                summary=f"what Patroni says of {word.scope} is not known: {why}",
                fix=hint or "see whether Patroni runs on the nodes: without it a primary takes no writes when its lease ends",
            )
        )
    return [*found, *member_findings(topology, word)]


def lease_of(topology: Topology, word: PatroniWord) -> Lease:
    """The lease as a verdict weighs it; a quorum that nobody can speak for is no reason against anything."""
    return Lease(
        has_quorum=word.has_quorum is not False,
        is_paused=word.is_paused,
        holder_is_writable=holder_is_writable(topology, word),
    )


def holder_is_writable(topology: Topology, word: PatroniWord) -> bool | None:
    """Whether the database of the lease's holder takes writes; None where nobody holds it, or the database was not asked."""
    if word.leader is None or (word.view is not None and word.view.is_standby_cluster):
        return None
    node = topology.node(word.instance_of(word.leader))
    if node is None or node.view is None:
        return None
    return node.view.role is Role.PRIMARY and node.view.is_writable


def _store(cluster: str, word: PatroniWord) -> Iterator[Finding]:
    store = word.store
    if word.has_quorum is False:
        members = _silent(store) if store is not None else {}
        told = (
            f"{store.healthy} of {counted(len(store.members), 'member')} well"
            if store is not None
            else "no node has seen it lately"
        )
        yield Finding(
            rule="ha.dcs_quorum_lost",
            severity=Severity.CRITICAL,
            subject=cluster,
            summary=f"the consensus store of {word.scope} cannot decide: {told}",
            evidence={"silent": members, "unseen_seconds": word.unseen_seconds},
            fix="bring a majority of etcd's members back; until then the primary closes itself (unless failsafe_mode is on), "
            "and nobody is promoted",
        )
    elif store is not None and store.has_quorum is None:
        yield Finding(
            rule="ha.dcs_unreachable",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"no member of the consensus store of {word.scope} is reached from here: nobody can say whether it decides",
            evidence={"silent": _silent(store)},
            fix="look from a node: etcdctl endpoint health",
        )
    elif store is not None and store.healthy < len(store.members):
        yield Finding(
            rule="ha.dcs_member_down",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"{store.healthy} of {counted(len(store.members), 'member')} of the consensus store well",
            evidence={"silent": _silent(store)},
            fix="bring them back before another one is lost",
        )
    beside = word.store_leader_beside_primary
    if beside is not None:
        yield Finding(
            rule="ha.dcs_leader_beside_primary",
            severity=Severity.INFO,
            subject=cluster,
            summary=f"etcd is led from the host of the primary of {word.scope}: if the host is lost, a failover takes some "
            f"{STORE_ELECTION_SECONDS:g} s longer",
            evidence={"member": f"{beside.member_id:x}", "url": beside.url},
            fix="lead etcd from another host: etcdctl move-leader MEMBER_ID there, until its next election; "
            "or keep etcd on machines of its own",
        )
    if word.is_paused:
        yield Finding(
            rule="ha.paused_cluster",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"Patroni is paused: if the primary of {word.scope} dies, nobody takes its place",
            fix="take it up again once the work is done: patronictl resume",
        )


def _silent(store: StoreWord) -> dict[str, str]:
    return {one.url: one.error or "it knows no leader" for one in store.members if one.error is not None or one.leader_id == 0}


def _scopes(cluster: str, word: PatroniWord) -> Iterator[Finding]:
    states = [one for one in word.nodes if isinstance(one, NodeState)]
    for one in states:
        if one.scope != word.scope:
            yield Finding(
                rule="ha.wrong_scope",
                severity=Severity.ERROR,
                subject=one.name or one.url,
                summary=f"{one.url} leads to a node of Patroni's cluster {one.scope}, not {word.scope}",
                evidence={"scope": one.scope, "expected": word.scope},
                fix="correct patroni: scope: or urls: of the cluster in ha: clusters:",
            )
    ours = [one for one in states if one.scope == word.scope]
    systems = {one.name: one.system_id for one in ours if one.system_id is not None}
    if word.store is not None and word.store.system_id is not None:
        systems["the consensus store"] = word.store.system_id
    if len(set(systems.values())) > 1:
        yield Finding(
            rule="ha.shared_scope",
            severity=Severity.CRITICAL,
            subject=cluster,
            summary=f"{len(set(systems.values()))} different databases call their cluster {word.scope}",
            evidence={"systems": systems},
            fix="two clusters must not share scope and namespace: a node of one would be made anew from the other; "
            "give one of them another scope",
        )
    silent = {url: one.message for url, one in _failed(word)}
    if silent and len(silent) < len(word.nodes):
        yield Finding(
            rule="ha.patroni_node_silent",
            severity=Severity.WARNING,
            subject=cluster,
            summary=f"Patroni does not answer at {len(silent)} of {len(word.nodes)} addresses: {'; '.join(silent.values())}",
            evidence={"silent": silent},
            fix="see whether Patroni runs there: a database without it is not taken care of",
        )


def _failed(word: PatroniWord) -> Iterator[tuple[str, DbreError]]:
    for place, one in enumerate(word.nodes):
        if isinstance(one, DbreError):
            yield str(place), one


def _lease(topology: Topology, word: PatroniWord) -> Iterator[Finding]:
    is_told = word.store is not None and word.store.error is None
    if word.has_quorum is False or (word.view is None and not is_told):
        return  # nobody knows: that is a finding of its own
    leader = word.leader
    if leader is None:
        yield Finding(
            rule="ha.no_leaseholder",
            severity=Severity.CRITICAL,
            subject=topology.cluster,
            summary=f"nobody holds the lease of {word.scope}: Patroni lets no node take writes",
            fix="read Patroni's log on every node: it says why none of them takes the lease",
        )
        return
    holder = word.instance_of(leader)
    if holder_is_writable(topology, word) is False:
        yield Finding(
            rule="ha.leaseholder_not_writable",
            severity=Severity.CRITICAL,
            subject=holder,
            summary=f"{holder} holds the lease of {word.scope}, and takes no writes",
            evidence={"leader": leader},
            fix="read Patroni's log there: it is being promoted, or it cannot start its database",
        )
    is_standby = word.view is not None and word.view.is_standby_cluster
    strangers = [one.name for one in topology.primaries if one.name != holder and one.instance.cluster == topology.cluster]
    for name in strangers if not is_standby else ():
        yield Finding(
            rule="ha.primary_without_lease",
            severity=Severity.CRITICAL,
            subject=name,
            summary=f"{name} takes writes and {holder} holds the lease of {word.scope}: what {name} acknowledges may be lost",
            evidence={"leader": leader},
            fix=f"fence {name}, keep its files, and find out which writes only it has",
        )
