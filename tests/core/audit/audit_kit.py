"""What the tests of the audit log share."""

from sqlalchemy import select, text

from dbre.core.audit import tables
from dbre.core.audit.model import AuditDraft
from dbre.core.audit.reading import AuditQuery, StoredEntry, entries, log_size, root_at
from dbre.core.audit.tree import Frontier, leaf_hash
from dbre.core.store import Store


def draft(number: int = 0, **fields: object) -> AuditDraft:
    known = {"action": "test.done", "actor": "anna", "subject": f"cluster/c{number}", "data": {"number": number}}
    return AuditDraft(**(known | fields))


async def read_all(store: Store) -> list[StoredEntry]:
    """The whole log in its order."""
    async with store.read() as connection:
        return list(reversed(await entries(connection, AuditQuery(), 100_000)))


async def numbers(store: Store) -> list[int]:
    return [one.entry.data["number"] for one in await read_all(store)]


async def require_sound(store: Store) -> Frontier:
    """The stored tree is the one that the stored entries make, without a gap, at every size it ever had."""
    async with store.read() as connection:
        rows = (await connection.execute(select(tables.entry).order_by(tables.entry.c.entry_index))).all()
        frontier = Frontier()
        for number, row in enumerate(rows):
            assert row.entry_index == number
            assert bytes(row.nodes) == b"".join(frontier.append(leaf_hash(row.entry.encode())))
        assert await log_size(connection) == len(rows)
        if rows:
            assert await root_at(connection, len(rows)) == frontier.root()
    return frontier


async def tamper(store: Store, statement: str, **parameters: object) -> None:
    """What somebody with a SQL prompt does."""
    async with store.begin() as connection:
        await connection.execute(text(statement), parameters)
