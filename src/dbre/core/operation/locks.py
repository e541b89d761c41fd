"""Taking and releasing the lock of a target, in the transaction of what goes with it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.lock_conflict import HeldLock, ancestors_of, conflicting
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import LockMode
from dbre.core.store import Store

__all__ = ["parents_of", "release_lock", "take_lock"]

_WOKEN = 4  # of those that wait for a target when it becomes free: one will have it, unless all only read
_lock, _row = tables.target_lock.c, tables.operation.c


async def take_lock(
    connection: AsyncConnection, store: Store, record: OperationRecord, *, own: tuple[UUID, ...], at: datetime
) -> HeldLock | None:
    """Lock the operation's target, again if it has it already; gives the oldest lock that stands in the way, or None.

    ``own`` are the operation's ancestors, whose locks are its own.
    """
    plan = record.planned.plan
    held = await _related(connection, plan.target)
    if any(one.operation_id == record.id and one.target == plan.target for one in held):
        return None
    found = conflicting(plan.target, plan.lock, held, own={record.id, *own})
    if found:
        return found[0]
    row = {"target_key": plan.target, "operation_id": record.id, "mode": plan.lock.value, "at": at}
    await store.insert_or_update(tables.target_lock, [row], keys=["target_key", "operation_id"], connection=connection)
    return None


async def _related(connection: AsyncConnection, target: str) -> list[HeldLock]:
    wider = ancestors_of(target)
    below = _lock.target_key.startswith("/".join(wider) if not wider else wider[-1] + "/", autoescape=True)
    rows = await connection.execute(select(tables.target_lock).where(or_(_lock.target_key.in_([target, *wider]), below)))
    return [HeldLock(target=row.target_key, operation_id=row.operation_id, mode=LockMode(row.mode), at=row.at) for row in rows]


async def release_lock(connection: AsyncConnection, record: OperationRecord, *, at: datetime) -> None:
    """Give the target free, and let the first of those that wait for it look at once."""
    await connection.execute(delete(tables.target_lock).where(_lock.operation_id == record.id))
    target = record.planned.plan.target
    related = or_(_row.target_key.in_(ancestors_of(target)), _row.target_key.startswith(target + "/", autoescape=True))
    waiting = and_(tables.QUEUED, _row.hold.is_not(None), _row.not_before > at, related)
    first = select(_row.id).where(waiting).order_by(_row.priority.desc(), _row.id).limit(_WOKEN)
    await connection.execute(update(tables.operation).where(_row.id.in_(first)).values(not_before=at, dispatched_at=None))


async def parents_of(connection: AsyncConnection, record: OperationRecord) -> tuple[UUID, ...]:
    """The operation of which this is a child, the one of which that is, and so on."""
    found: list[UUID] = []
    parent = record.parent_id
    while parent is not None and parent not in found:
        found.append(parent)
        parent = (await connection.execute(select(_row.parent_id).where(_row.id == parent))).scalar()
    return tuple(found)
