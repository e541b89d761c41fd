"""Escalations in the state store."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.oncall.escalation import Escalation, EscalationState
from dbre.capabilities.incident.oncall.tables import escalations
from dbre.core.store import Store

__all__ = [
    "due_escalations",
    "find_escalation",
    "is_calling",
    "keep_escalation",
    "next_due_at",
    "running_escalations",
    "turns_of",
]

_RUNNING = (EscalationState.ACTIVE, EscalationState.ACKNOWLEDGED, EscalationState.EXHAUSTED)


async def find_escalation(connection: AsyncConnection, incident_id: str) -> Escalation | None:
    """The escalation of an incident."""
    row = (await connection.execute(select(escalations).where(escalations.c.incident_id == incident_id))).first()
    return None if row is None else _of(row)


async def due_escalations(connection: AsyncConnection, now: datetime) -> tuple[Escalation, ...]:
    """Those whose next step is due, the longest due first; at most 100 at once."""
    statement = select(escalations).where(escalations.c.next_at <= now).order_by(escalations.c.next_at).limit(100)
    return tuple(_of(row) for row in await connection.execute(statement))


async def next_due_at(connection: AsyncConnection) -> datetime | None:
    """When the next step of any is due."""
    found: datetime | None = (await connection.execute(select(func.min(escalations.c.next_at)))).scalar()
    return found


async def running_escalations(connection: AsyncConnection) -> tuple[Escalation, ...]:
    """Those of incidents that go on, the newest first."""
    statement = select(escalations).where(escalations.c.state.in_(_RUNNING)).order_by(escalations.c.changed_at.desc())
    return tuple(_of(row) for row in await connection.execute(statement))


async def is_calling(connection: AsyncConnection, incident_id: str) -> bool:
    """Whether people are being told of an incident now, or were all told in vain."""
    one = await find_escalation(connection, incident_id)
    return one is not None and one.state in (EscalationState.ACTIVE, EscalationState.EXHAUSTED)


async def turns_of(connection: AsyncConnection, policy: str) -> int:
    """How many incidents a policy has had."""
    statement = select(func.count()).select_from(escalations).where(escalations.c.policy == policy)
    return int((await connection.execute(statement)).scalar() or 0)


async def keep_escalation(connection: AsyncConnection, store: Store, escalation: Escalation, *, now: datetime) -> None:
    """Write an escalation as it is now."""
    row = {name: getattr(escalation, name) for name in Escalation.__dataclass_fields__}
    row |= {"state": escalation.state.value, "document": dict(escalation.document), "changed_at": now}
    await store.insert_or_update(escalations, [row], keys=["incident_id"], connection=connection)


def _of(row: Row[Any]) -> Escalation:
    values = {name: getattr(row, name) for name in Escalation.__dataclass_fields__}
    return Escalation(**{**values, "state": EscalationState(row.state)})
