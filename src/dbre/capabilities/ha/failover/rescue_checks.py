"""May Patroni be asked to fail over? For a leader that serves nobody, and whose Patroni lives. Pure."""

from collections.abc import Iterator, Sequence

from dbre.capabilities.ha.failover.lease import lease_reasons
from dbre.capabilities.ha.patroni.member_findings import why_no_candidate
from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.core.text import printable
from dbre.ports.succession import Obstacle
from dbre.ports.topology import Contact
from dbre.tools.patroni import NodeState

__all__ = ["kept_reasons", "rescue_reasons"]

_SERVES_NOBODY = (Contact.RESET, Contact.TIMEOUT, Contact.STARTING)
_KEPT = ("candidate", "loss", "room_on_disk", "auto_allowed", "block_period")
"""Patroni sees to it that the old leader has stepped down before it lets the lease go: nobody here fences it."""


def kept_reasons(reasons: Sequence[Obstacle]) -> Iterator[Obstacle]:
    """What matters of the reasons of a failover of ours."""
    return (one for one in reasons if one.rule in _KEPT)


def _runs_by_its_word(word: PatroniWord, primary: str) -> str | None:
    """Role and state as its Patroni, which asks the server for each answer, has them; None: it does not say that it runs."""
    own = (one for one in word.nodes if isinstance(one, NodeState) and word.instance_of(one.name) == primary)
    return next((f"{one.role}, {one.state}" for one in own if one.role == "primary" and one.state == "running"), None)


def rescue_reasons(
    word: PatroniWord, primary: str, candidate: str | None, contact: Contact, *, sign: str | None
) -> Iterator[Obstacle]:
    """``sign``: of life, from the leader's Patroni; None: there is none. ``contact``: how we reach its server."""
    says = _runs_by_its_word(word, primary)
    told = f"; its Patroni reaches it: {printable(says, limit=100)}" if says is not None else ""
    yield Obstacle(
        rule="primary_serves_nobody",
        subject=primary,
        value=f"{contact.value}{told}",
        limit="reset, timeout or starting, from its Patroni, too: a primary that serves somebody is moved in order",
        source="a sweep from here; Patroni's REST API: /patroni",
        remedy="dbre ha switchover; where only this machine cannot reach it, from one that can",
        is_met=contact in _SERVES_NOBODY and says is None,
        is_blocking=True,
    )
    yield Obstacle(
        rule="patroni_answers",
        subject=primary,
        value=sign or "Patroni does not answer there",
        limit="an answer: only the Patroni that holds the lease steps down at once",
        source="Patroni's REST API: /patroni, /liveness; the processes of this machine",
        remedy="without --ask-patroni the server is fenced and its lease let go",
        is_met=sign is not None,
        is_blocking=True,
    )
    yield from (one for one in lease_reasons(word, primary, sign=None) if one.rule != "patroni_silent")
    has_request = word.store is not None and word.store.has_request
    yield Obstacle(
        rule="nothing_under_way",
        subject=word.scope,
        value="one is under way" if has_request else "none",
        limit="no other request",
        source="the failover key in etcd",
        remedy="wait until it is done: dbre ha status",
        is_met=not has_request,
        is_blocking=True,
    )
    member = word.member_at(candidate) if candidate is not None else None
    why = "it is no member" if member is None else why_no_candidate(word, member)
    yield Obstacle(
        rule="may_lead",
        subject=candidate or word.scope,
        value=why or "Patroni may promote it",
        limit="a member that may take over: tags, synchronous or quorum membership, lag",
        source="GET /cluster, GET /config",
        remedy="name another one with --to",
        is_met=candidate is not None and why is None,
        is_blocking=True,
    )
