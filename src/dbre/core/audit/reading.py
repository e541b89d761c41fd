"""Looking into the audit log: entries, its size and root, and proofs. Who may is for the caller to check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit import tables
from dbre.core.audit.entries import AuditEntry, read_entry
from dbre.core.audit.errors import EntryMissing
from dbre.core.audit.proofs import LeafRange, consistency_ranges, inclusion_ranges
from dbre.core.audit.tree import HASH_BYTES, Frontier, Node, frontier_ends, leaf_hash, perfect_nodes, range_hash

__all__ = [
    "AuditQuery",
    "StoredEntry",
    "consistency_proof",
    "entries",
    "entry_at",
    "frontier_at",
    "inclusion_proof",
    "log_size",
    "root_at",
]

_row = tables.entry.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry of the log with the text whose hash is its leaf."""

    entry: AuditEntry
    text: str

    @property
    def leaf(self) -> bytes:
        """The hash that inclusion proofs begin with."""
        return leaf_hash(self.text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries; all that is given must hold. ``*`` at the end of a text stands for any rest: ``operation.*``."""

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included
    before: int | None = None  # only entries with a smaller index: to go on where a page ended


async def entries(connection: AsyncConnection, query: AuditQuery, limit: int = 100) -> Sequence[StoredEntry]:
    """Entries, the newest first. Raises: AuditEntryInvalid where one was tampered with so that it cannot be read."""
    statement = select(_row.entry).where(*_conditions(query)).order_by(_row.entry_index.desc()).limit(limit)
    return [_stored(text) for text in (await connection.execute(statement)).scalars()]


async def entry_at(connection: AsyncConnection, index: int) -> StoredEntry:
    """The entry of that index. Raises: EntryMissing, AuditEntryInvalid."""
    text = (await connection.execute(select(_row.entry).where(_row.entry_index == index))).scalar()
    if text is None:
        raise EntryMissing(f"the audit log has no entry {index}: it has {await log_size(connection)} entries, counted from 0")
    return _stored(text)


async def log_size(connection: AsyncConnection) -> int:
    """How many entries the log has."""
    last = (await connection.execute(select(func.max(_row.entry_index)))).scalar()
    return 0 if last is None else int(last) + 1


async def root_at(connection: AsyncConnection, size: int) -> bytes:
    """The root that the log had when it had that many entries. Raises: EntryMissing."""
    return (await frontier_at(connection, size)).root()


async def frontier_at(connection: AsyncConnection, size: int) -> Frontier:
    """The complete subtrees that the log was made of when it had that many entries. Raises: EntryMissing."""
    ends = [end - 1 for end in frontier_ends(size)]
    found = await connection.execute(select(_row.entry_index, _row.nodes).where(_row.entry_index.in_(ends)))
    nodes = {row.entry_index: bytes(row.nodes)[-HASH_BYTES:] for row in found}
    if len(nodes) != len(ends):
        raise EntryMissing(f"the audit log lacks entries below {size}", hint="dbre audit verify")
    return Frontier(size, [nodes[end] for end in ends])


async def inclusion_proof(connection: AsyncConnection, index: int, size: int) -> list[bytes]:
    """The proof that entry ``index`` is in the log of ``size`` entries; reads two rows for each doubling of the log.

    Raises: EntryMissing; ValueError if not 0 <= index < size.
    """
    return await _hashes(connection, inclusion_ranges(index, size))


async def consistency_proof(connection: AsyncConnection, old: int, new: int) -> list[bytes]:
    """The proof that the log of ``new`` entries begins with that of ``old``; reads as few rows as ``inclusion_proof``.

    Raises: EntryMissing; ValueError if not 0 < old <= new.
    """
    return await _hashes(connection, consistency_ranges(old, new))


async def _hashes(connection: AsyncConnection, ranges: Sequence[LeafRange]) -> list[bytes]:
    wanted = {node for one in ranges for node in perfect_nodes(*one)}
    places = {node.entry_index for node in wanted}
    rows = await connection.execute(select(_row.entry_index, _row.nodes).where(_row.entry_index.in_(places)))
    found = {row.entry_index: bytes(row.nodes) for row in rows}
    hashes = {node: _node_in(found.get(node.entry_index, b""), node) for node in wanted}
    return [range_hash(*one, hashes) for one in ranges]


def _node_in(nodes: bytes, node: Node) -> bytes:
    value = nodes[node.level * HASH_BYTES : (node.level + 1) * HASH_BYTES]
    if len(value) != HASH_BYTES:
        raise EntryMissing(f"the audit log lacks entry {node.entry_index}, or a part of it", hint="dbre audit verify")
    return value


def _stored(text: str) -> StoredEntry:
    return StoredEntry(entry=read_entry(text), text=text)


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    named = ((_row.action, query.action), (_row.actor, query.actor), (_row.subject, query.subject))
    conditions = [_matches(column, text) for column, text in named if text is not None]
    if query.since is not None:
        conditions.append(_row.at >= query.since)
    if query.until is not None:
        conditions.append(_row.at < query.until)
    if query.before is not None:
        conditions.append(_row.entry_index < query.before)
    return conditions


def _matches(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return column.startswith(text[:-1], autoescape=True) if text.endswith("*") else column == text
