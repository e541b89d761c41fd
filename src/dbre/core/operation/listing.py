"""Lists of operations: what somebody asked for, as far as they may see it, the newest first."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import record_of, select_operations

__all__ = ["list_operations"]

_BATCH = 1000
_row = tables.operation.c


async def list_operations(
    connection: AsyncConnection, wanted: OperationFilter, *, may_see: Callable[[str], bool]
) -> Sequence[OperationRecord]:
    """The operations whose targets ``may_see`` allows; without their journals."""
    ids = await _visible(connection, wanted, may_see)
    rows = await connection.execute(select_operations().where(_row.id.in_(ids)).order_by(_row.id.desc()))
    return [record_of(row) for row in rows]


async def _visible(connection: AsyncConnection, wanted: OperationFilter, may_see: Callable[[str], bool]) -> list[UUID]:
    """Ids and targets alone are read until there are enough: a plan may have a megabyte."""
    found: list[UUID] = []
    before, known = wanted.before, dict[str, bool]()
    while True:
        rows = (await connection.execute(_select(wanted, before).limit(_BATCH))).all()
        for row in rows:
            if row.target_key not in known:
                known[row.target_key] = may_see(row.target_key)
            if known[row.target_key]:
                found.append(row.id)
            if len(found) == wanted.limit:
                return found
        if len(rows) < _BATCH:
            return found
        before = rows[-1].id


def _select(wanted: OperationFilter, before: UUID | None) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(_row.state.in_([state.value for state in wanted.states]))
    if wanted.kind is not None:
        conditions.append(_row.kind == wanted.kind)
    if wanted.target is not None:
        target = wanted.target.rstrip("/")
        conditions.append(or_(_row.target_key == target, _row.target_key.startswith(f"{target}/", autoescape=True)))
    if wanted.requested_by is not None:
        conditions.append(_row.requested_by == wanted.requested_by)
    if wanted.dedup_key is not None:
        conditions.append(_row.dedup_key == wanted.dedup_key)
    if wanted.id_part is not None:
        text = type_coerce(_row.id, Text)
        part = wanted.id_part.lower()
        conditions.append(or_(text.startswith(part, autoescape=True), text.endswith(part, autoescape=True)))
    if before is not None:
        conditions.append(_row.id < before)
    return select(_row.id, _row.target_key).where(*conditions).order_by(_row.id.desc())
