"""Operations as the store has them, read back."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.archive import JOURNAL, Rows, archived_rows, stored_rows
from dbre.core.operation.errors import NoSuchOperation
from dbre.core.operation.model import Approval, GateRecord, Hold, OperationRecord, Override, Resolution, Resolved, StepRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import OperationState, StepPhase, StepState

__all__ = ["find", "hold_document", "load", "load_for_worker", "record_of", "select_operations"]


def select_operations() -> Select[Any]:
    """All that ``record_of`` needs; add conditions and an order."""
    return select(tables.operation)


async def find(connection: AsyncConnection, operation_id: UUID) -> OperationRecord:
    """One operation without its journal. Raises: NoSuchOperation."""
    return record_of(await _found(connection, operation_id))


async def _found(connection: AsyncConnection, operation_id: UUID) -> Row[Any]:
    row: Row[Any] | None = (await connection.execute(_ONE, {"the_id": operation_id})).first()
    if row is None:
        raise NoSuchOperation(f"no operation {operation_id}", hint="dbre op list")
    return row


async def load(connection: AsyncConnection, operation_id: UUID) -> OperationRecord:
    """One operation with its journal, approvals, overrides, gate decisions and resolutions. Raises: NoSuchOperation."""
    row = await _found(connection, operation_id)
    journal: Mapping[str, Rows]
    if row.archived_at is None:
        journal = {part: await stored_rows(connection, part, operation_id) for part in JOURNAL}
    else:
        journal = await archived_rows(connection, operation_id)
    return replace(
        record_of(row),
        steps=tuple(_step(row) for row in journal["steps"]),
        approvals=tuple(Approval(**_without(row, "operation_id")) for row in journal["approvals"]),
        overrides=tuple(Override(**_without(row, "operation_id")) for row in journal["overrides"]),
        gates=tuple(GateRecord(**_without(row, "operation_id", "id")) for row in journal["gates"]),
        resolutions=tuple(_resolved(row) for row in journal["resolutions"]),
    )


async def load_for_worker(connection: AsyncConnection, record: OperationRecord) -> OperationRecord:
    """With what a worker needs of it: the journal, overrides and gate decisions; nothing is asked of one that never ran."""
    overrides = await stored_rows(connection, "overrides", record.id)
    gates = await stored_rows(connection, "gates", record.id)
    steps = await stored_rows(connection, "steps", record.id) if record.attempt else ()
    return replace(
        record,
        steps=tuple(_step(row) for row in steps),
        overrides=tuple(Override(**_without(row, "operation_id")) for row in overrides),
        gates=tuple(GateRecord(**_without(row, "operation_id", "id")) for row in gates),
    )


def _without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in names}


def _step(row: Mapping[str, Any]) -> StepRecord:
    given = _without(row, "operation_id", "input_hash")
    given |= {"phase": StepPhase(row["phase"]), "state": StepState(row["state"]), "notes": tuple(row["notes"])}
    return StepRecord(**given)


def _resolved(row: Mapping[str, Any]) -> Resolved:
    return Resolved(**_without(row, "operation_id", "id") | {"resolution": Resolution(row["resolution"])})


_ONE = select_operations().where(tables.operation.c.id == bindparam("the_id"))


def record_of(row: Row[Any]) -> OperationRecord:
    """A row of ``select_operations``."""
    names = (
        "id", "plan_hash", "requested_by", "reason", "attempt", "owner", "zone", "priority", "dedup_key", "parent_id",
        "created_at", "not_before", "deadline", "started_at", "ended_at", "cancel_requested_by", "abort_reason", "tuning",
        "error", "outcome",
    )  # fmt: skip
    return OperationRecord(
        planned=PlannedOperation.from_document(json.loads(row.plan)),
        state=OperationState(row.state),
        hold=_hold(row.hold),
        **{name: getattr(row, name) for name in names},
    )


def _hold(document: Mapping[str, Any] | None) -> Hold | None:
    if document is None:
        return None
    since = datetime.fromisoformat(document["since"])
    return Hold(by=document["by"], is_gate=document["is_gate"], reason=document["reason"], since=since)


def hold_document(hold: Hold | None) -> dict[str, Any] | None:
    """What column ``hold`` stores."""
    if hold is None:
        return None
    return {"by": hold.by, "is_gate": hold.is_gate, "reason": hold.reason, "since": hold.since.isoformat()}
