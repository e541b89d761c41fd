"""Bypassing a gate for one operation, on the record."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.errors import UsageError
from dbre.core.gates.asking import Gates
from dbre.core.operation import tables
from dbre.core.operation.desk import OverrideRequest
from dbre.core.operation.journal import Journal, subject_of

__all__ = ["check_override", "write_override"]

_LONGEST_REASON = 2000


def check_override(request: OverrideRequest, gates: Gates) -> None:
    """See that the gate can be bypassed and somebody says why. Raises: UsageError; Refused for a gate that never can."""
    gates.check_override(request.gate)
    if not request.reason.strip():
        raise UsageError(f"overriding gate {request.gate} needs a reason", hint='--reason "why it is right now"')
    if len(request.reason) > _LONGEST_REASON:
        raise UsageError(f"a reason of {len(request.reason)} characters is too long, the limit is {_LONGEST_REASON}")


async def write_override(
    connection: AsyncConnection, operation_id: UUID, request: OverrideRequest, *, by: str, journal: Journal, at: datetime
) -> None:
    """Store it, in the place of an earlier one for the same gate; the audit log keeps both."""
    own = tables.gate_override.c
    await connection.execute(delete(tables.gate_override).where(own.operation_id == operation_id, own.gate == request.gate))
    facts = {"gate": request.gate, "reason": request.reason, "ticket": request.ticket}
    await connection.execute(insert(tables.gate_override).values(operation_id=operation_id, by=by, at=at, **facts))
    await journal.note(connection, AuditDraft(action="gate.overridden", actor=by, subject=subject_of(operation_id), data=facts))
