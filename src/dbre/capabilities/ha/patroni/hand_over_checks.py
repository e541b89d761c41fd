"""What speaks for and against a switchover that Patroni is to do: pure rules over what it and its store said."""

from collections.abc import Iterator

from dbre.capabilities.ha.patroni.member_findings import why_no_candidate
from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.core.fleet import Instance
from dbre.core.text import counted
from dbre.tools.patroni import NodeState

__all__ = ["hand_over_checks"]

_CLUSTER, _PATRONI, _STORE = "GET /cluster", "GET /patroni", "etcd"


def hand_over_checks(word: PatroniWord, old: Instance, new: Instance) -> Iterator[PreCheck]:
    """Each thing that was looked at, good or bad."""
    scope = word.scope
    if word.view is None:
        why = word.error.message if word.error is not None else "nothing"
        yield _check("patroni_answers", scope, False, why, "an answer", _CLUSTER, "see whether Patroni runs on the nodes")
        return
    view = word.view
    yield _check("patroni_answers", scope, True, counted(len(view.members), "member"), "an answer", _CLUSTER)
    yield _check(
        "not_paused", scope, not view.is_paused, _yes(view.is_paused, "paused"), "not paused", _CLUSTER, "patronictl resume"
    )
    yield from _store(word)
    leader = word.instance_of(word.leader) if word.leader is not None else None
    yield _check(
        "lease_and_primary", scope, leader == old.name, f"the lease is {leader or 'nobody'}'s", f"{old.name}'s", _CLUSTER,
        "dbre ha status says who takes writes; wait until both are the same",
    )  # fmt: skip
    yield _check(
        "no_standby_cluster", scope, not view.is_standby_cluster, _yes(view.is_standby_cluster, "a standby cluster"),
        "a cluster that takes writes", _CLUSTER, "switch over where its data comes from",
    )  # fmt: skip
    planned = view.scheduled_switchover
    yield _check(
        "no_switchover_scheduled", scope, planned is None, planned or "none", "none", _CLUSTER,
        f"take it back: patronictl flush {scope} switchover",
    )  # fmt: skip
    yield from _candidate(word, new)
    yield from _nodes(word)


def _store(word: PatroniWord) -> Iterator[PreCheck]:
    store = word.store
    known = word.has_quorum
    said = {True: "it decides", False: "no quorum", None: "nobody here can tell"}[known]
    yield PreCheck(
        rule="store_has_quorum",
        subject=word.scope,
        state=CheckState.OK if known else CheckState.FAIL if known is False else CheckState.WARN,
        value=said,
        limit="a quorum",
        source=_STORE if store is not None else _PATRONI,
        remedy="bring etcd's members back; name etcd under patroni: of the cluster to have it asked",
    )
    if store is not None and store.error is None:
        groups = ", ".join(store.groups)
        yield _check(
            "no_citus", word.scope, not store.groups, f"groups {groups}" if groups else "one primary", "one primary", _STORE,
            f"each group is switched over by itself: patronictl switchover {word.scope} --group NUMBER",
        )  # fmt: skip
        yield _check(
            "nothing_under_way", word.scope, not store.has_request, "one is under way" if store.has_request else "none",
            "no other request", _STORE, "wait until it is done: dbre ha status",
        )  # fmt: skip


def _candidate(word: PatroniWord, new: Instance) -> Iterator[PreCheck]:
    member = word.member_at(new.name)
    if member is None:
        yield _check("is_member", new.name, False, "no member", "a member", _CLUSTER, "see whether Patroni runs there")
        return
    why = why_no_candidate(word, member)
    value = why or f"{member.state}, {member.role.replace('_', ' ')}"
    yield _check("may_lead", new.name, why is None, value, "may take over", _CLUSTER, "name another one with --to")


def _nodes(word: PatroniWord) -> Iterator[PreCheck]:
    states = [one for one in word.nodes if isinstance(one, NodeState)]
    wrong = [one.url for one in states if one.scope != word.scope]
    systems = {one.system_id for one in states if one.system_id is not None and one.scope == word.scope}
    if word.store is not None and word.store.system_id is not None:
        systems.add(word.store.system_id)
    value = f"{', '.join(wrong)} belongs to another cluster" if wrong else counted(len(systems), "database")
    yield _check(
        "one_scope", word.scope, not wrong and len(systems) <= 1, value, "one database", _PATRONI,
        "correct scope: and urls: in ha: clusters:; two clusters must not share a scope",
    )  # fmt: skip
    silent = len(word.nodes) - len(states)
    yield PreCheck(
        rule="all_nodes_answer",
        subject=word.scope,
        state=CheckState.OK if silent == 0 else CheckState.WARN,
        value=f"{len(states)} of {len(word.nodes)}",
        limit="all",
        source=_PATRONI,
        remedy="a node whose Patroni is silent will not follow the new primary",
    )


def _check(rule: str, subject: str, is_ok: bool, value: str, limit: str, source: str, remedy: str | None = None) -> PreCheck:
    state = CheckState.OK if is_ok else CheckState.FAIL
    return PreCheck(rule=rule, subject=subject, state=state, value=value, limit=limit, source=source, remedy=remedy)


def _yes(is_so: bool, words: str) -> str:
    return words if is_so else f"not {words}"
