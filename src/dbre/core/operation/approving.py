"""Consent of other people to a stored plan."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.errors import UsageError
from dbre.core.operation import tables
from dbre.core.operation.errors import OperationConflict, WrongState
from dbre.core.operation.journal import Journal, subject_of
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState

__all__ = ["check_approvable", "release_approved", "write_approval"]

_APPROVABLE = frozenset({OperationState.AWAITING_APPROVAL, OperationState.QUEUED, OperationState.PAUSED})
_LONGEST_COMMENT = 2000


def check_approvable(record: OperationRecord, *, plan_hash: str | None, comment: str | None) -> None:
    """Raises: WrongState where there is nothing to consent to any more; OperationConflict for the hash of another plan."""
    if record.state not in _APPROVABLE:
        raise WrongState(f"operation {record.id} is {record.state} and waits for no approval", hint=f"dbre op show {record.id}")
    if plan_hash is not None and plan_hash != record.plan_hash:
        raise OperationConflict(
            f"operation {record.id} has a plan with hash {record.plan_hash[:12]}, not {plan_hash[:12]}",
            hint=f"look at the plan that is stored: dbre op show {record.id}",
            context={"plan_hash": record.plan_hash},
        )
    if comment is not None and len(comment) > _LONGEST_COMMENT:
        raise UsageError(f"a comment of {len(comment)} characters is too long, the limit is {_LONGEST_COMMENT}")


async def write_approval(
    connection: AsyncConnection,
    record: OperationRecord,
    *,
    approver: str,
    comment: str | None,
    journal: Journal,
    at: datetime,
) -> OperationRecord:
    """Store the consent to the stored plan, in the place of an earlier one by the same person."""
    own = tables.approval.c
    await connection.execute(delete(tables.approval).where(own.operation_id == record.id, own.approver == approver))
    row = {"operation_id": record.id, "approver": approver, "plan_hash": record.plan_hash, "at": at, "comment": comment}
    await connection.execute(insert(tables.approval).values(row))
    facts = {"plan_hash": record.plan_hash, "comment": comment}
    await journal.note(
        connection, AuditDraft(action="operation.approved", actor=approver, subject=subject_of(record.id), data=facts)
    )
    return await load(connection, record.id)


async def release_approved(
    connection: AsyncConnection, operation_id: UUID, *, actor: str, journal: Journal, at: datetime
) -> OperationRecord:
    """Queue an operation that has all consents; one that begun already and is held has its gates asked again at once."""
    record = await load(connection, operation_id)
    if record.state is OperationState.AWAITING_APPROVAL:
        await journal.move(connection, record, OperationState.QUEUED, actor=actor)
    elif record.hold is not None and record.hold.is_gate and not record.is_final:
        await journal.write(connection, record, {"not_before": at, "dispatched_at": None})
    return await load(connection, operation_id)
