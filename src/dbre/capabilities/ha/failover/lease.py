"""May the lease of a dead leader be let go? Patroni's and etcd's word, as reasons for and against. Pure."""

from collections.abc import Iterator

from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.ports.succession import Obstacle

__all__ = ["lease_reasons"]


def lease_reasons(word: PatroniWord, primary: str, *, sign: str | None) -> Iterator[Obstacle]:
    """Everything that has to be so before the leader key is deleted. ``primary``: the instance that is dead.

    ``sign``: of life, from the leader's Patroni, whatever its server does; None: there is none.
    """
    leader = word.leader
    held = word.instance_of(leader) if leader is not None else None
    yield Obstacle(
        rule="lease_holder",
        subject=word.scope,
        value=f"{leader} holds the lease" if leader is not None else "nobody holds the lease",
        limit=f"{primary} holds it",
        source="the leader key in etcd",
        remedy="somebody else leads, or Patroni chooses already: dbre ha status",
        is_met=held == primary,
        is_blocking=True,
    )
    yield Obstacle(
        rule="patroni_silent",
        subject=primary,
        value=sign if sign is not None else "Patroni does not answer there, and no process of it is seen to run",
        limit="no answer: a Patroni that lives knows best, and would start the server again",
        source="Patroni's REST API: /patroni, /liveness; the processes of this machine",
        remedy="wait: it restarts the server, or gives the lease up; or have it fail over: dbre ha failover --ask-patroni; "
        "where it hangs or is cut off, a fence of kind command that takes the machine away",
        is_met=sign is None,
        is_blocking=True,
    )
    yield Obstacle(
        rule="not_paused",
        subject=word.scope,
        value="paused" if word.is_paused else "not paused",
        limit="not paused: somebody wants no change",
        source="Patroni",
        remedy="resume it with patronictl resume",
        is_met=not word.is_paused,
        is_blocking=True,
    )
    yield Obstacle(
        rule="quorum",
        subject="etcd",
        value={True: "has a quorum", False: "has none", None: "cannot be asked"}[word.has_quorum],
        limit="a quorum: without one nobody can be chosen",
        source="the members of etcd",
        remedy="mend etcd first: etcdctl endpoint health",
        is_met=word.has_quorum is True and word.store is not None and word.store.error is None,
        is_blocking=True,
    )
    store = word.store
    citus = store is not None and bool(store.groups)
    yield Obstacle(
        rule="one_primary",
        subject=word.scope,
        value="groups of Citus" if citus else "one primary",
        limit="a cluster with one primary",
        source="the keys in etcd",
        remedy="let Patroni fail the group over",
        is_met=not citus,
        is_blocking=True,
    )
