"""Action items in the state store."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.actions.model import ActionItem, ActionKind, ActionState
from dbre.capabilities.incident.tables import incident, incident_action

__all__ = ["insert_action", "list_actions", "next_action", "update_action"]


async def next_action(connection: AsyncConnection, incident_id: UUID) -> int:
    """The number of an incident's next item."""
    statement = select(func.max(incident_action.c.number)).where(incident_action.c.incident_id == incident_id)
    return ((await connection.execute(statement)).scalar() or 0) + 1


async def insert_action(connection: AsyncConnection, item: ActionItem) -> None:
    """Write a new item."""
    await connection.execute(insert(incident_action).values(_values(item)))


async def update_action(connection: AsyncConnection, item: ActionItem) -> None:
    """Replace an item."""
    table = incident_action
    where = (table.c.incident_id == item.incident_id) & (table.c.number == item.number)
    await connection.execute(update(table).where(where).values(_values(item)))


async def list_actions(
    connection: AsyncConnection,
    *,
    incident_id: UUID | None = None,
    states: Sequence[ActionState] = (),
    owner: str | None = None,
) -> Sequence[ActionItem]:
    """Items, the one that is due first first."""
    table = incident_action
    statement = select(table, incident.c.number.label("incident_number")).join(incident, incident.c.id == table.c.incident_id)
    if incident_id is not None:
        statement = statement.where(table.c.incident_id == incident_id)
    if states:
        statement = statement.where(table.c.state.in_([one.value for one in states]))
    if owner is not None:
        statement = statement.where(table.c.owner == owner)
    rows = await connection.execute(statement.order_by(table.c.due, incident.c.number, table.c.number))
    return [_item(row) for row in rows]


def _values(item: ActionItem) -> dict[str, Any]:
    names = ("incident_id", "number", "title", "owner", "reference", "created_at", "created_by")
    ended = ("ended_at", "ended_by", "ended_note")
    plain = {name: getattr(item, name) for name in (*names, *ended)}
    return plain | {"kind": item.kind.value, "state": item.state.value, "due": item.due.isoformat()}


def _item(row: Row[Any]) -> ActionItem:
    return ActionItem(
        incident_id=row.incident_id,
        incident=f"INC-{row.incident_number}",
        number=row.number,
        title=row.title,
        kind=ActionKind(row.kind),
        owner=row.owner,
        due=date.fromisoformat(row.due),
        state=ActionState(row.state),
        reference=row.reference,
        created_at=row.created_at,
        created_by=row.created_by,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        ended_note=row.ended_note,
    )
