"""Insert or update, the same on SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, Table
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
    is_sqlite = connection.dialect.name == "sqlite"
    statement = _statement(table, tuple(sorted(columns)), tuple(keys), tuple(add), is_sqlite=is_sqlite)
    await connection.execute(statement, [dict(row) for row in rows])


@lru_cache(maxsize=200)
def _statement(
    table: Table, columns: tuple[str, ...], keys: tuple[str, ...], add: tuple[str, ...], *, is_sqlite: bool
) -> Executable:
    """Made once for each shape: to make it costs as much as to execute it."""
    insert = (sqlite_insert if is_sqlite else postgres_insert)(table)
    changes = {
        name: table.c[name] + insert.excluded[name] if name in add else insert.excluded[name]
        for name in columns
        if name not in keys
    }
    if not changes:
        return insert.on_conflict_do_nothing(index_elements=list(keys))
    return insert.on_conflict_do_update(index_elements=list(keys), set_=changes)
