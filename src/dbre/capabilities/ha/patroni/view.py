"""What Patroni and its store say, as people and programs read it."""

from collections.abc import Sequence

from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.core.errors import DbreError
from dbre.core.text import counted
from dbre.core.view import Row

__all__ = ["word_document", "word_lines"]


def word_document(word: PatroniWord) -> Row:
    """All of it, for a program."""
    store, view = word.store, word.view
    return {
        "manager": "patroni",
        "scope": word.scope,
        "leader": word.leader,
        "leader_instance": word.instance_of(word.leader) if word.leader is not None else None,
        "has_quorum": word.has_quorum,
        "is_paused": word.is_paused if view is not None else None,
        "error": word.error.message if word.error is not None else None,
        "members": [
            {
                "name": one.name,
                "instance": word.instances.get(one.name),
                "role": one.role,
                "state": one.state,
                "timeline": one.timeline,
                "lag_bytes": one.lag_bytes,
                "tags": dict(one.tags),
                "is_restart_pending": one.is_restart_pending,
            }
            for one in (view.members if view is not None else ())
        ],
        "nodes": [
            {"error": one.message}
            if isinstance(one, DbreError)
            else {
                "url": one.url,
                "name": one.name,
                "scope": one.scope,
                "role": one.role,
                "state": one.state,
                "version": one.version,
                "system_id": one.system_id,
            }
            for one in word.nodes
        ],
        "store": None
        if store is None
        else {
            "kind": "etcd",
            "members": [{"url": one.url, "error": one.error, "is_leader": one.is_leader} for one in store.members],
            "leader": store.leader,
            "lease_seconds": store.lease.granted_seconds if store.lease is not None else None,
            "lease_remaining_seconds": store.lease.remaining_seconds if store.lease is not None else None,
            "synchronous": list(store.sync.standbys) if store.sync is not None else None,
            "quorum": store.sync.quorum if store.sync is not None else None,
            "error": store.error.message if store.error is not None else None,
        },
    }


def word_lines(word: PatroniWord) -> Sequence[str]:
    """Two lines under the tree: who leads by Patroni's word, and how the store is."""
    if word.view is None and word.store is None:
        return [f"Patroni {word.scope}: not known"]
    words = [f"Patroni {word.scope}: the lease is {_leader(word)}"]
    if word.is_paused:
        words.append("paused")
    members = word.view.members if word.view is not None else ()
    synchronous = [word.instance_of(one.name) for one in members if one.is_synchronous]
    if synchronous:
        quorum = word.store.sync.quorum if word.store is not None and word.store.sync is not None else 0
        needed = f"{quorum} of " if quorum else ""
        words.append(f"commits wait for {needed}{', '.join(synchronous)}")
    lines = ["; ".join(words)]
    if word.store is not None:
        said = "" if word.store.error is None else f"; {word.store.error.message}"
        lines.append(f"etcd: {word.store.healthy} of {counted(len(word.store.members), 'member')} well{said}")
    return lines


def _leader(word: PatroniWord) -> str:
    if word.leader is None:
        is_known = word.has_quorum is not False and (word.view is not None or word.store is None or word.store.error is None)
        return "nobody's" if is_known else "not known: the store cannot decide"
    lease = word.store.lease if word.store is not None else None
    left = f", {lease.remaining_seconds} s left" if lease is not None and lease.remaining_seconds is not None else ""
    return f"{word.instance_of(word.leader)}'s{left}"
