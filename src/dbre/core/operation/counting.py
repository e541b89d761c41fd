"""How many operations are under way or wait, by target: what every page shows, so nothing but counts is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.states import OperationState

__all__ = ["OperationCount", "attention_counts", "open_counts"]

_row = tables.operation.c


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationCount:
    """So many operations on one target are in one state."""

    target: str
    state: OperationState
    is_held: bool
    count: int


async def attention_counts(connection: AsyncConnection) -> Sequence[OperationCount]:
    """Operations that wait for a person: for consent, for a decision, or to be resumed."""
    return await _counted(connection, tables.ATTENTION)


async def open_counts(connection: AsyncConnection) -> Sequence[OperationCount]:
    """Operations that have not ended."""
    not_begun = tables.ATTENTION & (_row.state != OperationState.PAUSED.value)
    found = [await _counted(connection, one) for one in (tables.QUEUED, tables.BEGUN, not_begun)]
    return [one for counts in found for one in counts]


async def _counted(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[OperationCount]:
    is_held = _row.hold.is_not(None).label("is_held")
    wanted = select(_row.target_key, _row.state, is_held, func.count().label("number")).where(condition)
    rows = await connection.execute(wanted.group_by(_row.target_key, _row.state, is_held))
    return [
        OperationCount(target=row.target_key, state=OperationState(row.state), is_held=bool(row.is_held), count=row.number)
        for row in rows
    ]
