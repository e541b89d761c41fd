"""Insert or update, the same on SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["upsert"]


async def upsert(
    connection: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    add: Sequence[str] = (),
) -> None:
    """Insert rows; where ``keys`` (a unique constraint) exist, replace the other columns, and add to those in ``add``.

    The same key may occur more than once in ``rows``: they are applied in their order.

    Raises: ValueError where the rows differ in their columns, or lack one that is named.
    """
    if not rows:
        return
    columns = set(rows[0])
    if any(set(row) != columns for row in rows):
        raise ValueError(f"rows for {table.name} differ in their columns")
    if not columns >= {*keys, *add}:
        raise ValueError(f"rows for {table.name} lack {sorted({*keys, *add} - columns)}")
    insert = (sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert)(table)
    changes = {
        name: table.c[name] + insert.excluded[name] if name in add else insert.excluded[name]
        for name in sorted(columns.difference(keys))
    }
    statement = (
        insert.on_conflict_do_update(index_elements=list(keys), set_=changes)
        if changes
        else insert.on_conflict_do_nothing(index_elements=list(keys))
    )
    await connection.execute(statement, [dict(row) for row in rows])
