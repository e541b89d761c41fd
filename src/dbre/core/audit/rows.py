"""Rows of the log as they lie in the database, whatever somebody made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, LargeBinary, cast, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from dbre.core.audit import tables

__all__ = ["RawRow", "lowest_index", "raw_rows"]

_COLUMNS = ("at", "action", "actor", "subject", "entry", "nodes")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row; values are what the driver gives, text as UTF-8 bytes where it is text at all."""

    index: int
    at: Any
    action: Any
    actor: Any
    subject: Any
    entry: Any
    nodes: Any


async def raw_rows(connection: AsyncConnection, *, start: int, limit: int) -> Sequence[RawRow]:
    """Rows from index ``start`` on, in their order. SQLite lets every value be of any type, and text be no UTF-8."""
    is_sqlite = connection.dialect.name == "sqlite"
    index = tables.entry.c.entry_index
    columns = [_raw(tables.entry.c[name], is_sqlite=is_sqlite) for name in _COLUMNS]
    rows = await connection.execute(select(index, *columns).where(index >= start).order_by(index).limit(limit))
    return [RawRow(row[0], *map(_bytes, row[1:])) for row in rows]


async def lowest_index(connection: AsyncConnection) -> int:
    """The index of the first row; 0 where there is none."""
    return int((await connection.execute(select(func.min(tables.entry.c.entry_index)))).scalar() or 0)


def _raw(column: Column[Any], *, is_sqlite: bool) -> ColumnElement[Any]:
    if is_sqlite and column.name in ("action", "actor", "subject", "entry"):
        return type_coerce(cast(column, LargeBinary), NullType())
    return type_coerce(column, NullType())


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return bytes(value) if isinstance(value, memoryview) else value
