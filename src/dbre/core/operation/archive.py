"""Journals of operations that ended long ago: all their rows in one compressed document, which is read back as the rows."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Dialect, Select, Table, TypeDecorator, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from dbre.core.operation import tables
from dbre.core.operation.plan import canonical
from dbre.core.store.errors import StoreCorrupt

__all__ = ["JOURNAL", "Rows", "archived_rows", "packed", "rows_of", "stored_rows"]

Rows = Sequence[Mapping[str, Any]]

JOURNAL: Mapping[str, tuple[Table, tuple[str, ...]]] = {
    "steps": (tables.step, ("seq", "started_at", "phase")),
    "approvals": (tables.approval, ("at",)),
    "overrides": (tables.gate_override, ("at",)),
    "gates": (tables.gate_decision, ("id",)),
    "resolutions": (tables.resolution, ("id",)),
}
"""The tables that make up the journal, each with the order in which its rows are read."""

_FORMAT = "dbre-operation-archive/1"


async def stored_rows(connection: AsyncConnection, part: str, operation_id: UUID) -> Rows:
    """The rows of one table of the journal that are about an operation."""
    found = await connection.execute(_of(part), {"the_id": operation_id})
    return cast("Rows", found.mappings().all())  # SQLAlchemy declares more kinds of keys than columns of a table have


@cache
def _of(part: str) -> Select[Any]:
    table, order = JOURNAL[part]
    return select(table).where(table.c.operation_id == bindparam("the_id")).order_by(*(table.c[name] for name in order))


async def archived_rows(connection: AsyncConnection, operation_id: UUID) -> Mapping[str, Rows]:
    """All rows of a journal, out of its document. Raises: StoreCorrupt."""
    own = tables.archive.c
    found = (await connection.execute(select(own.document).where(own.operation_id == operation_id))).scalar()
    try:
        return rows_of(bytes(found or b""), connection.dialect)
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(
            f"the archived journal of operation {operation_id} cannot be read", hint="restore it from a copy of the state store"
        ) from error


def packed(journal: Mapping[str, Rows], dialect: Dialect) -> bytes:
    """The document of these rows: canonical JSON, compressed. Values are written as the tables store them."""
    parts = {name: [_written(table, row, dialect) for row in journal[name]] for name, (table, _) in JOURNAL.items()}
    return zlib.compress(canonical({"format": _FORMAT, **parts}), 9)


def rows_of(document: bytes, dialect: Dialect) -> dict[str, Rows]:
    """The rows that ``packed`` was given. Raises: zlib.error, ValueError, KeyError, TypeError for anything else."""
    parts = json.loads(zlib.decompress(document))
    if parts["format"] != _FORMAT:
        raise ValueError("another format")
    return {name: [_read(table, row, dialect) for row in parts[name]] for name, (table, _) in JOURNAL.items()}


def _written(table: Table, row: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    # JSON stays the text that it is in the table: it may hold numbers that canonical JSON does not have.
    return {column.name: _through(_writer(column.type, dialect), row[column.name]) for column in table.c}


def _read(table: Table, row: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """One row; a column that was made later is null."""
    return {column.name: _through(_reader(column.type, dialect), row.get(column.name)) for column in table.c}


def _writer(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.bind_processor(dialect) if isinstance(kind, TypeDecorator) else None


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.result_processor(dialect, None) if isinstance(kind, TypeDecorator) else None


def _through(processor: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if processor is None else processor(value)
