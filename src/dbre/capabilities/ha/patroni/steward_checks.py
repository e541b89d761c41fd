"""What speaks for and against having Patroni restart the servers of a cluster one after the other: pure rules over its word."""

from collections.abc import Iterator

from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.core.fleet import Cluster
from dbre.core.text import counted
from dbre.ports.succession import Obstacle
from dbre.tools.patroni import NodeState

__all__ = ["steward_checks"]

_CLUSTER, _PATRONI, _STORE = "GET /cluster", "GET /patroni", "etcd"


def steward_checks(word: PatroniWord, cluster: Cluster) -> Iterator[Obstacle]:
    """Each thing that was looked at, good or bad."""
    if word.view is None:
        why = word.error.message if word.error is not None else "nothing"
        yield _check("steward_answers", word.scope, False, why, "an answer", _CLUSTER, "see whether Patroni runs on the nodes")
        return
    view = word.view
    yield _check("steward_answers", word.scope, True, counted(len(view.members), "member"), "an answer", _CLUSTER)
    value = "paused: nobody would take over" if view.is_paused else "not paused"
    yield _check("not_paused", word.scope, not view.is_paused, value, "not paused", _CLUSTER, "patronictl resume")
    said = {True: "it decides", False: "no quorum", None: "nobody here can tell"}[word.has_quorum]
    yield _check(
        "store_has_quorum", word.scope, word.has_quorum is not False, said, "a quorum",
        _STORE if word.store is not None else _PATRONI, "bring etcd's members back",
    )  # fmt: skip
    planned = view.scheduled_switchover
    yield _check(
        "no_switchover_scheduled", word.scope, planned is None, planned or "none", "none", _CLUSTER,
        f"take it back: patronictl flush {word.scope} switchover",
    )  # fmt: skip
    yield from _members(word, cluster)


def _members(word: PatroniWord, cluster: Cluster) -> Iterator[Obstacle]:
    """Every server of the inventory is a member whose own Patroni can be asked: one that cannot would not be restarted."""
    own = {one.name for one in word.nodes if isinstance(one, NodeState) and one.scope == word.scope}
    for instance in cluster.instances:
        member = word.member_at(instance.name)
        if member is None:
            value, is_met = "no member of that address", False
        elif member.name not in own:
            value, is_met = f"its Patroni, {member.name}, does not answer", False
        else:
            value, is_met = f"{member.name}: {member.role.replace('_', ' ')}, {member.state}", True
        yield _check(
            "is_member", instance.name, is_met, value, "a member whose Patroni answers", _PATRONI,
            "name its REST API under patroni: urls: of the cluster in ha: clusters:",
        )  # fmt: skip
    known = set(word.instances)
    strangers = [one.name for one in word.view.members if one.name not in known] if word.view is not None else []
    yield _check(
        "no_strangers", word.scope, not strangers, ", ".join(strangers) or "none", "every member is in the inventory",
        _CLUSTER, "add it to the instances of the cluster, or it keeps what it has",
    )  # fmt: skip


def _check(rule: str, subject: str, is_met: bool, value: str, limit: str, source: str, remedy: str = "") -> Obstacle:
    return Obstacle(
        rule=rule, subject=subject, value=value, limit=limit, source=source, remedy=remedy, is_met=is_met, is_blocking=True
    )
