"""How far schedules have come, in the state store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.schedule.model import Schedule, ScheduleState, Skipped
from dbre.core.store import Store

__all__ = ["advance", "forget_others", "new_state", "read_states", "set_suspended"]

_row = tables.schedule.c


def new_state(name: str) -> ScheduleState:
    """Of a schedule that was never looked at."""
    return ScheduleState(
        name=name,
        definition=None,
        last_slot=None,
        last_operation_id=None,
        last_skipped=None,
        is_suspended=False,
        suspended_by=None,
    )


async def read_states(connection: AsyncConnection) -> Mapping[str, ScheduleState]:
    """All of them by name."""
    rows = (await connection.execute(select(tables.schedule))).mappings()
    return {row["name"]: _state(row) for row in rows}


def _state(row: RowMapping) -> ScheduleState:
    skipped = row["last_skipped"]
    return ScheduleState(
        name=row["name"],
        definition=row["definition"],
        last_slot=row["last_slot"],
        last_operation_id=row["last_operation_id"],
        last_skipped=None if skipped is None else Skipped(**skipped | {"slot": datetime.fromisoformat(skipped["slot"])}),
        is_suspended=row["is_suspended"],
        suspended_by=row["suspended_by"],
    )


async def advance(
    store: Store,
    connection: AsyncConnection,
    schedule: Schedule,
    seen: ScheduleState,
    *,
    cursor: datetime,
    operation_id: UUID | None = None,
    skipped: Skipped | None = None,
) -> bool:
    """Note what was decided, unless another scheduler has gone further meanwhile; whether it was noted."""
    values: dict[str, Any] = {"definition": schedule.definition, "last_slot": cursor}
    if operation_id is not None:
        values["last_operation_id"] = operation_id
    if skipped is not None:
        values["last_skipped"] = {"slot": skipped.slot.isoformat(), "count": skipped.count, "reason": skipped.reason}
    await _ensure(store, connection, schedule.name)
    unchanged = _row.last_slot.is_(None) if seen.last_slot is None else _row.last_slot == seen.last_slot
    same = or_(unchanged, _row.last_slot < cursor)
    done = await connection.execute(update(tables.schedule).where(_row.name == schedule.name, same).values(values))
    return done.rowcount == 1


async def set_suspended(store: Store, connection: AsyncConnection, name: str, *, by: str | None, now: datetime) -> bool:
    """Suspend (``by`` somebody) or resume (None); whether anything changed. What came meanwhile is not run afterwards."""
    await _ensure(store, connection, name)
    changed = update(tables.schedule).where(_row.name == name, _row.is_suspended == (by is None))
    values: dict[str, Any] = {"is_suspended": by is not None, "suspended_by": by}
    if by is None:
        values["last_slot"] = now
    return (await connection.execute(changed.values(values))).rowcount == 1


async def _ensure(store: Store, connection: AsyncConnection, name: str) -> None:
    known = select(_row.name).where(_row.name == name)
    if (await connection.execute(known)).first() is None:
        await store.insert_or_update(
            tables.schedule, [{"name": name, "is_suspended": False}], keys=["name"], connection=connection
        )


async def forget_others(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Delete what is known of schedules that the configuration has no more, save that they are suspended."""
    await connection.execute(delete(tables.schedule).where(_row.name.not_in(names), _row.is_suspended.is_(False)))
