"""Which operations want to be run now, and the note that somebody was told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.dispatch import Due
from dbre.core.operation.orphans import is_left_alone
from dbre.core.operation.states import OperationState
from dbre.core.store import UtcDateTime

__all__ = [
    "AHEAD",
    "LeaseTime",
    "SweepScope",
    "find_due",
    "is_ahead_of_clock",
    "is_leased",
    "mark_dispatched",
    "unmark_dispatched",
]

AHEAD = timedelta(seconds=65)
"""A mark further in the future was made by a clock that has been set back since: a gate is asked again within a minute."""
_LONGEST_WAIT = timedelta(minutes=10)
_LEASED = (OperationState.RUNNING, OperationState.VERIFYING, OperationState.COMPENSATING)
_row = tables.operation.c


class LeaseTime(Protocol):
    """The clock of leases: the server's, or the one of this boot of the machine."""

    @property
    def epoch(self) -> str:
        """Which clock it is; seconds of different epochs cannot be compared."""
        ...

    async def now(self, connection: AsyncConnection) -> float:
        """Seconds of that clock."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepScope:
    """What one look is to find."""

    limit: int
    again_after: timedelta  # how long after somebody was told he is waited for
    is_patient: bool  # wait longer for what waits long: the message stands in a queue, which repetitions only make longer
    zones: tuple[str | None, ...] | None  # None: all


async def is_leased(connection: AsyncConnection, operation_id: UUID, leases: LeaseTime) -> bool:
    """Whether somebody has it whose lease has not run out."""
    is_live = and_(_row.owner.is_not(None), _row.lease_epoch == leases.epoch, _row.lease_until >= await leases.now(connection))
    return (await connection.execute(select(_row.id).where(_row.id == operation_id, is_live))).first() is not None


async def find_due(connection: AsyncConnection, scope: SweepScope, *, now: datetime, leases: LeaseTime) -> Sequence[Due]:
    """What should run and is not being run: first what was begun and left, then the most urgent, then the oldest."""
    found: list[Due] = []
    # A query for each: an index then has the rows in their order, and ten thousand that wait are not sorted for the first.
    for condition in _conditions(epoch=leases.epoch, seconds=await leases.now(connection), now=now):
        if len(found) < scope.limit:
            wanted = and_(condition, _may_be_told(scope, now), *_where(scope))
            found += await _read(connection, wanted, scope.limit - len(found))
    return found


async def _read(connection: AsyncConnection, condition: ColumnElement[bool], limit: int) -> list[Due]:
    statement: Select[Any] = (
        select(_row.id, _row.zone, _row.priority).where(condition).order_by(_row.priority.desc(), _row.id).limit(limit)
    )
    rows = await connection.execute(statement)
    return [Due(operation_id=row.id, zone=row.zone, priority=row.priority) for row in rows]


def _conditions(*, epoch: str, seconds: float, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return _left(epoch=epoch, now=seconds), _held(now), _queued(now), _late(now)


def _left(*, epoch: str, now: float) -> ColumnElement[bool]:
    """Begun, and its worker is gone."""
    is_free = or_(_row.owner.is_(None), _row.lease_until.is_(None), _row.lease_epoch != epoch, _row.lease_until < now)
    return and_(tables.BEGUN, _row.state.in_([one.value for one in _LEASED]), is_free)


def _held(now: datetime) -> ColumnElement[bool]:
    """Paused by a gate that should be asked again by now, or by whomever, and to be ended."""
    is_gate = type_coerce(_row.hold, Text).contains('"is_gate":true')
    is_to_end = or_(_row.cancel_requested_by.is_not(None), _is_late(now), is_left_alone())
    return and_(tables.BEGUN, _row.state == OperationState.PAUSED.value, or_(and_(_has_come(now), is_gate), is_to_end))


def _queued(now: datetime) -> ColumnElement[bool]:
    """Waits for a worker."""
    return and_(tables.QUEUED, _has_come(now))


def _late(now: datetime) -> ColumnElement[bool]:
    """Waits for consent, and its deadline has passed."""
    return and_(tables.ATTENTION, _row.state == OperationState.AWAITING_APPROVAL.value, _is_late(now))


def _is_late(now: datetime) -> ColumnElement[bool]:
    return and_(_row.deadline.is_not(None), _row.deadline <= now)


def _has_come(now: datetime) -> ColumnElement[bool]:
    planned, present = type_coerce(func.coalesce(_row.not_before, 0), BigInteger), type_coerce(now, UtcDateTime)
    return or_(planned <= type_coerce(present, BigInteger), is_ahead_of_clock(now + AHEAD))


def is_ahead_of_clock(latest: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a gate was to be asked again later than ``latest``, which no gate wants: the clock has been set back since."""
    is_gate = type_coerce(func.coalesce(type_coerce(_row.hold, Text), ""), Text).contains('"is_gate":true')
    return and_(is_gate, _row.not_before > latest)


def _where(scope: SweepScope) -> list[ColumnElement[bool]]:
    # No plain IS NULL, and no plain comparison in _has_come: SQLite would go by the index of that column, and then sort.
    is_root = func.coalesce(type_coerce(_row.parent_id, Text), "") == ""
    conditions: list[ColumnElement[bool]] = [or_(is_root, is_left_alone())]
    if scope.zones is not None:
        named = [zone for zone in scope.zones if zone is not None]
        choices = [_row.zone.in_(named)] if named else []
        conditions.append(or_(false(), *choices, *([_row.zone.is_(None)] if None in scope.zones else [])))
    return conditions


def _may_be_told(scope: SweepScope, now: datetime) -> ColumnElement[bool]:
    """Nobody was told yet, or not since it became due, or so long ago that the message is lost.

    Whoever claims an operation takes the note off, so that what is left of a worker that is gone is told of at once. Where
    somebody patient is told, the wait doubles for what is queued for long: a queue of ten thousand is not made longer each
    half minute. What was begun and left, of which there is little and which holds its target, is told of at the same pace.
    """
    moment = type_coerce(now, tables.operation.c.created_at.type)
    told, present = type_coerce(_row.dispatched_at, BigInteger), type_coerce(moment, BigInteger)
    due = type_coerce(func.coalesce(_row.not_before, _row.created_at), BigInteger)
    shortest, longest = _microseconds(scope.again_after), _microseconds(max(_LONGEST_WAIT, scope.again_after))
    wait: ColumnElement[int] = literal(shortest)
    if scope.is_patient:
        waited = told - due
        wait = case((or_(~tables.QUEUED, waited < shortest), wait), (waited > longest, literal(longest)), else_=waited)
    return or_(_row.dispatched_at.is_(None), told < due, present - told >= wait, _row.dispatched_at > now + AHEAD)


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


async def mark_dispatched(
    connection: AsyncConnection, due: Sequence[Due], scope: SweepScope, *, now: datetime, leases: LeaseTime
) -> Sequence[Due]:
    """Note that these are told of now; gives those that are due still, and of which nobody else has told meanwhile."""
    is_due = or_(*_conditions(epoch=leases.epoch, seconds=await leases.now(connection), now=now))
    taken = (
        update(tables.operation)
        .where(_row.id.in_([one.operation_id for one in due]), is_due, _may_be_told(scope, now))
        .values(dispatched_at=now)
        .returning(_row.id)
    )
    mine: set[UUID] = set((await connection.execute(taken)).scalars())
    return [one for one in due if one.operation_id in mine]


async def unmark_dispatched(connection: AsyncConnection, due: Sequence[Due], *, marked: datetime) -> None:
    """Take the note back, because the message could not be sent."""
    chosen = [one.operation_id for one in due]
    statement = update(tables.operation).where(_row.id.in_(chosen), _row.dispatched_at == marked).values(dispatched_at=None)
    await connection.execute(statement)
