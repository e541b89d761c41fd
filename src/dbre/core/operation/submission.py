"""A plan becomes a stored operation: what it was submitted with is checked, and everything is written in one transaction."""

import re
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.identity.model import Principal, PrincipalKind
from dbre.core.operation import tables
from dbre.core.operation.desk import Submission
from dbre.core.operation.errors import ConfirmationMissing, OperationConflict
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.overriding import write_override
from dbre.core.operation.plan import PlannedOperation, Risk
from dbre.core.operation.reading import load, record_of, select_operations
from dbre.core.operation.states import OperationState
from dbre.core.selector import NAME
from dbre.core.text import printable, quoted

__all__ = ["check_submission", "find_submitted", "write_operation"]

_LONGEST_REASON = 2000
_LONGEST_KEY = 200
_RESERVED = ("child:", "schedule:")  # keys by which dbre finds its own operations again
_KEY = re.compile(r"[\x21-\x7e]+")


def check_submission(planned: PlannedOperation, submission: Submission, *, now: datetime, principal: Principal) -> None:
    """See that it can be submitted so. Raises: UsageError naming what is wrong; ConfirmationMissing for a severe plan."""
    if not 0 <= submission.priority <= 9:
        raise UsageError(f"priority {submission.priority} lies outside 0..9", hint="9 is first, 4 is the default")
    if submission.zone is not None and not re.fullmatch(NAME, submission.zone):
        raise UsageError(f"{quoted(submission.zone, limit=80)} is not a zone", hint=f"names of zones fit {NAME}")
    key = submission.dedup_key
    if key is not None and not (len(key) <= _LONGEST_KEY and _KEY.fullmatch(key)):
        raise UsageError("an idempotency key is 1 to 200 printable ASCII characters without blanks")
    if key is not None and key.startswith(_RESERVED) and principal.kind is not PrincipalKind.SYSTEM:
        raise UsageError(f"idempotency keys that begin with {' or '.join(_RESERVED)} are kept for dbre", hint="use another key")
    for text in (submission.reason, *(one.reason for one in submission.overrides)):
        if text is not None and len(text) > _LONGEST_REASON:
            raise UsageError(f"a reason of {len(text)} characters is too long, the limit is {_LONGEST_REASON}")
    _check_times(submission, now=now)
    asked = planned.plan.confirmation
    if planned.plan.risk is Risk.SEVERE and submission.confirm != asked:
        raise ConfirmationMissing(
            f"{planned.kind} on {printable(planned.plan.target, limit=200)} is severe and was not confirmed",
            hint=f"--confirm {printable(asked, limit=100)}",
            context={"confirm": asked},
        )


def _check_times(submission: Submission, *, now: datetime) -> None:
    for name, moment in (("not before", submission.not_before), ("deadline", submission.deadline)):
        if moment is not None and moment.tzinfo is None:
            raise UsageError(f"{name} {moment.isoformat()} has no time zone", hint="write a moment of UTC with Z")
    if submission.deadline is not None:
        start = max(now, submission.not_before or now)
        if submission.deadline <= start:
            shown = f"{submission.deadline:%Y-%m-%d %H:%M:%SZ}"
            raise UsageError(f"deadline {shown} is not after the start, {start:%Y-%m-%d %H:%M:%SZ}")


async def find_submitted(
    connection: AsyncConnection, planned: PlannedOperation, submission: Submission
) -> OperationRecord | None:
    """The operation that has this dedup key already; None: the key is new, or there is none.

    Raises: OperationConflict where the key belongs to another plan.
    """
    if submission.dedup_key is None:
        return None
    wanted = select_operations().where(tables.operation.c.dedup_key == submission.dedup_key)
    row = (await connection.execute(wanted)).first()
    if row is None:
        return None
    found = record_of(row)
    if found.plan_hash != planned.hash:
        raise OperationConflict(
            f"idempotency key {submission.dedup_key} belongs to another plan, submitted {found.created_at:%Y-%m-%d %H:%M:%SZ}",
            hint="use another key for another plan",
        )
    return await load(connection, found.id)


async def write_operation(
    connection: AsyncConnection,
    planned: PlannedOperation,
    given: Submission,
    *,
    requested_by: str,
    state: OperationState,
    journal: Journal,
    clock: Clock,
) -> OperationRecord:
    """Store a new operation with its overrides in the caller's transaction; the dispatcher is to be told after the commit."""
    new = NewOperation(
        planned=planned,
        requested_by=requested_by,
        reason=given.reason,
        dedup_key=given.dedup_key,
        zone=given.zone,
        priority=given.priority,
        not_before=given.not_before,
        deadline=given.deadline,
        state=state,
    )
    operation_id = await insert_operation(connection, journal, new, actor=requested_by, clock=clock)
    for one in given.overrides:
        await write_override(connection, operation_id, one, by=requested_by, journal=journal, at=clock.now())
    return await load(connection, operation_id)
