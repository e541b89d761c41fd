"""What gates, and the page about them, read of stored operations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.lock_conflict import HeldLock, ancestors_of
from dbre.core.operation.plan import LockMode
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

__all__ = ["HeldOperation", "Holder", "approvers", "held_operations", "holder_of", "locks_near", "target_holders"]

_row, _lock, _approval = tables.operation.c, tables.target_lock.c, tables.approval.c
_MOST_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An operation that holds a target."""

    lock: HeldLock
    kind: str
    state: OperationState
    requested_by: str
    started_at: datetime | None
    estimate_seconds: float | None

    @property
    def ends_about(self) -> datetime | None:
        """When it should be done, by its plan's own estimate; None: nobody knows."""
        if self.started_at is None or self.estimate_seconds is None:
            return None
        try:
            return self.started_at + timedelta(seconds=self.estimate_seconds)
        except (OverflowError, ValueError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOperation:
    """An operation that waits, and for what."""

    operation_id: UUID
    kind: str
    target: str
    state: OperationState
    requested_by: str
    held_by: str  # a gate's name, or the person who paused it
    is_gate: bool
    reason: str
    since: datetime
    next_look: datetime | None  # when the gates are asked again; None: when somebody acts


async def approvers(connection: AsyncConnection, operation_ids: Sequence[UUID]) -> Sequence[str]:
    """Who consented to the stored plans of these operations, the oldest consent first; consents to another plan are void."""
    wanted = (
        select(_approval.approver)
        .join(tables.operation, _row.id == _approval.operation_id)
        .where(_approval.operation_id.in_(operation_ids), _approval.plan_hash == _row.plan_hash)
        .order_by(_approval.at)
    )
    return list((await connection.execute(wanted)).scalars())


async def locks_near(connection: AsyncConnection, target: str) -> list[HeldLock]:
    """The locks on a target, on what contains it and on what it contains."""
    wider = ancestors_of(target)
    below = _lock.target_key.startswith("/".join(wider) + "/", autoescape=True)
    rows = await connection.execute(select(tables.target_lock).where(or_(_lock.target_key.in_([target, *wider]), below)))
    return [_held(row) for row in rows]


def _held(row: Row[tuple[object, ...]]) -> HeldLock:
    return HeldLock(target=row.target_key, operation_id=row.operation_id, mode=LockMode(row.mode), at=row.at)


_HOLDERS = select(
    tables.target_lock, _row.kind, _row.state, _row.requested_by, _row.started_at, _row.plan
).join(tables.operation, _row.id == _lock.operation_id)  # fmt: skip


async def holder_of(connection: AsyncConnection, lock: HeldLock) -> Holder | None:
    """The operation behind a lock; None: it has given the target free meanwhile."""
    wanted = _HOLDERS.where(_lock.operation_id == lock.operation_id, _lock.target_key == lock.target)
    row = (await connection.execute(wanted)).first()
    return None if row is None else _holder(row)


async def target_holders(store: Store) -> tuple[Holder, ...]:
    """Every locked target with the operation that holds it, by target."""
    async with store.read() as connection:
        rows = await connection.execute(_HOLDERS.order_by(_lock.target_key, _lock.at).limit(_MOST_ROWS))
        return tuple(_holder(row) for row in rows)


def _holder(row: Row[tuple[object, ...]]) -> Holder:
    estimate = json.loads(row.plan).get("estimate_seconds")
    return Holder(
        lock=_held(row),
        kind=row.kind,
        state=OperationState(row.state),
        requested_by=row.requested_by,
        started_at=row.started_at,
        estimate_seconds=float(estimate) if isinstance(estimate, int | float) else None,
    )


async def held_operations(store: Store) -> tuple[HeldOperation, ...]:
    """Who waits for what, and since when, the one that has waited longest first: held by gates, paused, not approved yet."""
    columns = (
        _row.id, _row.kind, _row.target_key, _row.state, _row.requested_by, _row.hold, _row.created_at, _row.not_before,
    )  # fmt: skip
    base: Select[tuple[object, ...]] = select(*columns).limit(_MOST_ROWS)
    # In the order of the index: by the id alone, SQLite would go through all operations there ever were.
    queued = base.where(tables.QUEUED, _row.hold.is_not(None)).order_by(_row.priority.desc(), _row.id)
    begun = base.where(tables.BEGUN, _row.hold.is_not(None)).order_by(_row.state, _row.id)
    unapproved = base.where(tables.ATTENTION, _row.state == OperationState.AWAITING_APPROVAL.value).order_by(_row.id)
    async with store.read() as connection:
        rows = [row for one in (queued, begun, unapproved) for row in await connection.execute(one)]
    found = [_held_operation(row) for row in rows]
    return tuple(sorted(found, key=lambda one: (one.since, one.operation_id)))


def _held_operation(row: Row[tuple[object, ...]]) -> HeldOperation:
    hold = row.hold or {"by": "approval", "is_gate": True, "reason": "waits for approval", "since": None}
    since = datetime.fromisoformat(hold["since"]) if hold["since"] else row.created_at
    return HeldOperation(
        operation_id=row.id,
        kind=row.kind,
        target=row.target_key,
        state=OperationState(row.state),
        requested_by=row.requested_by,
        held_by=hold["by"],
        is_gate=hold["is_gate"],
        reason=hold["reason"],
        since=since,
        next_look=row.not_before if hold["is_gate"] and row.state != OperationState.AWAITING_APPROVAL.value else None,
    )
