"""A new operation in the store, ready to be run."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.ids import uuid7
from dbre.core.operation import tables
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import PlannedOperation, canonical
from dbre.core.operation.reading import find
from dbre.core.operation.states import OperationState

__all__ = ["NewOperation", "insert_operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """What is stored of an operation when it is submitted."""

    planned: PlannedOperation
    requested_by: str
    reason: str | None = None
    dedup_key: str | None = None
    parent_id: UUID | None = None
    zone: str | None = None
    priority: int = 4
    not_before: datetime | None = None
    deadline: datetime | None = None
    state: OperationState = OperationState.QUEUED  # or awaiting_approval


async def insert_operation(
    connection: AsyncConnection, journal: Journal, new: NewOperation, *, actor: str, clock: Clock
) -> UUID:
    """Store it in its state, by way of planned, with its audit records; gives its id."""
    plan = new.planned
    row: dict[str, Any] = {
        "id": uuid7(clock),
        "kind": plan.kind,
        "definition_version": plan.definition_version,
        "target_key": plan.plan.target,
        "plan": canonical(plan.document()).decode(),
        "plan_hash": plan.hash,
        "state": OperationState.PLANNED.value,
        "attempt": 0,
        "zone": new.zone,
        "priority": new.priority,
        "dedup_key": new.dedup_key,
        "parent_id": new.parent_id,
        "requested_by": new.requested_by,
        "reason": new.reason,
        "created_at": clock.now(),
        "not_before": new.not_before,
        "deadline": new.deadline,
        "tuning": {},
    }
    await connection.execute(insert(tables.operation).values(row))
    record = await find(connection, row["id"])
    audit = {"plan_hash": plan.hash, "requested_by": new.requested_by, "parent": str(new.parent_id) if new.parent_id else None}
    audit |= {"reason": new.reason} if new.reason is not None else {}
    await journal.move(connection, record, new.state, actor=actor, audit=audit)
    return record.id
