"""Children whose parent does not run any more, or is to end: nobody waits for them, so they are undone."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.operation import tables
from dbre.core.operation.flags import Flags
from dbre.core.operation.journal import REQUESTS, TOPIC, Journal, subject_of
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.store import announce

__all__ = ["cancel_children", "is_left_alone", "with_parents_end"]

_S = OperationState
_GOES_ON = tuple(one.value for one in (_S.QUEUED, _S.RUNNING, _S.VERIFYING, _S.COMPENSATING, _S.PAUSED))
_row, _parent = tables.operation.c, tables.operation.alias("parent")


def is_left_alone() -> ColumnElement[bool]:
    """Whether no worker of the parent brings a child to its end: it is to be cancelled, or its parent does not go on."""
    goes_on = exists().where(_parent.c.id == _row.parent_id, _parent.c.state.in_(_GOES_ON))
    return and_(_row.parent_id.is_not(None), or_(_row.cancel_requested_by.is_not(None), ~goes_on))


async def with_parents_end(
    connection: AsyncConnection, journal: Journal, record: OperationRecord, flags: Flags, *, at: datetime
) -> Flags:
    """The flags, and written so: the end of a child's parent is a wish to cancel it.

    Not where a person decided how the child goes on (``resolve``): that was said of the child itself.
    """
    if record.parent_id is None or flags.cancel_requested_by is not None:
        return flags
    parent = (await connection.execute(select(_row.state).where(_row.id == record.parent_id))).scalar()
    decided = exists().where(tables.resolution.c.operation_id == record.id)
    if parent in _GOES_ON or (await connection.execute(select(decided))).scalar():
        return flags
    by, why = f"operation {record.parent_id}", f"its parent {record.parent_id} is {parent or 'gone'}"
    await _request(connection, journal, record.id, by=by, why=why, at=at)
    return replace(flags, cancel_requested_by=by, abort_reason=why)


async def cancel_children(
    connection: AsyncConnection, journal: Journal, parent: OperationRecord, *, why: str, at: datetime
) -> None:
    """Flag the children that go on, in the transaction that ends their parent; their own children end with them."""
    mine = and_(_row.parent_id == parent.id, _row.state.in_(_GOES_ON), _row.cancel_requested_by.is_(None))
    for child in (await connection.execute(select(_row.id).where(mine))).scalars().all():
        await _request(connection, journal, child, by=f"operation {parent.id}", why=f"its parent {parent.id} {why}", at=at)


async def _request(connection: AsyncConnection, journal: Journal, child: UUID, *, by: str, why: str, at: datetime) -> None:
    asked = {"cancel_requested_by": by, "cancel_requested_at": at, "abort_reason": why, "not_before": None}
    await connection.execute(update(tables.operation).where(_row.id == child).values(asked | {"dispatched_at": None}))
    await journal.note(
        connection, AuditDraft(action="operation.cancel_requested", actor=by, subject=subject_of(child), data={"reason": why})
    )
    announce(connection, TOPIC)
    announce(connection, REQUESTS)
