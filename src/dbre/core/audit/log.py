"""Writing the audit log: in the transaction of what is recorded, one statement for all entries of a transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit import tables
from dbre.core.audit.entries import PreparedEntry, prepare
from dbre.core.audit.model import AuditDraft
from dbre.core.audit.tree import HASH_BYTES, Frontier, leaf_hash
from dbre.core.clock import Clock
from dbre.core.store import Store, announce
from dbre.core.store.notes import defer

__all__ = ["TOPIC", "AuditLog", "read_frontier"]

TOPIC = "audit"
"""What is announced when a transaction with audit entries is committed."""

# The sizes at which the complete subtrees of the tree end: each is the one before without its lowest bit.
_FRONTIER = text(
    """
    WITH RECURSIVE ends(size) AS (
        SELECT max(entry_index) + 1 FROM audit_entry
        UNION ALL
        SELECT size & (size - 1) FROM ends WHERE size & (size - 1) > 0
    )
    SELECT e.entry_index, e.nodes
    FROM ends
    JOIN audit_entry AS e ON e.entry_index = ends.size - 1
    ORDER BY e.entry_index
    """
)


class AuditLog:
    """Appends to the audit log (``AuditRecorder``). It keeps nothing in memory: every transaction reads where the log ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def record(self, connection: AsyncConnection, *drafts: AuditDraft) -> None:
        """Append in the caller's transaction: both are committed, or neither.

        The entries are written at the end of the transaction, together with those of everybody who shares it, and get their
        indexes there; what a savepoint took back is not written.

        Raises: ValueError for a draft that cannot be an entry; RuntimeError outside a write transaction of the store.
        """
        self._note(connection, self._prepared(drafts))

    async def append(self, store: Store, *drafts: AuditDraft) -> None:
        """Append in a transaction that is shared with other callers; returns when it is committed.

        Raises: ValueError for a draft that cannot be an entry; a StoreError.
        """
        prepared = self._prepared(drafts)
        await store.grouped_notes(lambda connection: self._note(connection, prepared))

    def _prepared(self, drafts: Sequence[AuditDraft]) -> list[PreparedEntry]:
        at = self._clock.now()
        return [prepare(draft, at) for draft in drafts]

    @staticmethod
    def _note(connection: AsyncConnection, prepared: Sequence[PreparedEntry]) -> None:
        defer(connection, _write, prepared)
        announce(connection, TOPIC)


async def _write(connection: AsyncConnection, entries: Sequence[PreparedEntry]) -> None:
    frontier = await read_frontier(connection)  # nobody else can append before the commit: a store has one writer at a time
    rows = [_row(one, frontier) for one in entries]
    await connection.execute(insert(tables.entry), rows)


async def read_frontier(connection: AsyncConnection) -> Frontier:
    """Where the log ends, in the snapshot of the connection."""
    found = (await connection.execute(_FRONTIER)).all()
    if not found:
        return Frontier()
    # The subtree that ends with an entry as part of the frontier is the largest one, and so the last of its nodes.
    return Frontier(found[-1].entry_index + 1, [bytes(row.nodes)[-HASH_BYTES:] for row in found])


def _row(prepared: PreparedEntry, frontier: Frontier) -> dict[str, Any]:
    index = frontier.size
    entry = prepared.text(index)
    return {
        "entry_index": index,
        "at": prepared.at,
        "action": prepared.action,
        "actor": prepared.actor,
        "subject": prepared.subject,
        "entry": entry,
        "nodes": b"".join(frontier.append(leaf_hash(entry.encode()))),
    }
