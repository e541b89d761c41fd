"""Carrying out what a person decided of an operation that needs an operator; a worker then goes on from there."""

from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.operation import tables
from dbre.core.operation.errors import WrongState
from dbre.core.operation.fingerprint import input_hash, result_hash
from dbre.core.operation.journal import Journal, subject_of
from dbre.core.operation.locks import release_lock
from dbre.core.operation.model import OperationRecord, Resolution, StepRecord
from dbre.core.operation.orphans import cancel_children
from dbre.core.operation.outcome import UNDOING
from dbre.core.operation.position import Position
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState, StepPhase, StepState
from dbre.core.store import Store

__all__ = ["resolve", "resolve_in", "step_in_question"]

_S = OperationState
_OPEN = (StepState.STARTED, StepState.FAILED)


async def resolve(
    store: Store, journal: Journal, record: OperationRecord, resolution: Resolution, *, by: str, reason: str
) -> OperationRecord:
    """Decide for an operation that needs an operator, in a transaction of its own; gives it as it is then.

    Raises: WrongState where the decision does not fit; OperationConflict where it was resolved by somebody else meanwhile.
    """

    async def write(connection: AsyncConnection) -> OperationRecord:
        await resolve_in(connection, journal, record, resolution, by=by, reason=reason)
        return await load(connection, record.id)

    return await store.grouped(write)


async def resolve_in(
    connection: AsyncConnection,
    journal: Journal,
    record: OperationRecord,
    resolution: Resolution,
    *,
    by: str,
    reason: str,
) -> None:
    """The same in the caller's transaction; the row of the decision, its audit record and the new state are one."""
    current = await load(connection, record.id)
    if current.state is not _S.NEEDS_OPERATOR:
        raise WrongState(f"operation {record.id} is {current.state}, and needs no operator", hint=f"dbre op show {record.id}")
    decided = _Decision(connection, journal, current, by=by)
    row = {"operation_id": record.id, "resolution": resolution.value, "by": by, "reason": reason, "at": decided.at}
    await connection.execute(insert(tables.resolution).values(row))
    facts: dict[str, Any] = {"resolution": resolution.value, "reason": reason}
    facts |= {"step": decided.row.name, "seq": decided.row.seq, "phase": decided.row.phase.value} if decided.row else {}
    facts |= {"result_hash": result_hash(decided.row.result or {})} if decided.row and resolution is Resolution.DONE else {}
    draft = AuditDraft(action="operation.resolved", actor=by, subject=subject_of(record.id), data=facts)
    await journal.note(connection, draft)
    match resolution:
        case Resolution.DONE:
            await decided.done()
        case Resolution.REDO:
            await decided.redo()
        case Resolution.UNDO:
            await decided.undo()
        case Resolution.GIVE_UP:
            await decided.give_up()


def step_in_question(record: OperationRecord) -> StepRecord | None:
    """The phase of a step whose end nobody knows, or that failed for good; None: the code for the operation is missing."""
    rows = Position.of(record).rows
    for phase in (StepPhase.UNDO, StepPhase.VERIFY, StepPhase.DO):
        found = [row for row in rows.values() if row.phase is phase and row.state in _OPEN]
        if found:
            return max(found, key=lambda row: row.seq)
    return None


class _Decision:
    """One decision, being carried out."""

    def __init__(self, connection: AsyncConnection, journal: Journal, record: OperationRecord, *, by: str) -> None:
        self._connection = connection
        self._journal = journal
        self._record = record
        self._by = by
        self.row = step_in_question(record)
        self.at = journal.now()

    async def done(self) -> None:
        """It happened: go on after it."""
        row = self._required("done")
        state = StepState.SKIPPED if row.phase is StepPhase.UNDO else StepState.DONE
        await self._set(row, state=state.value, ended_at=self.at, error=None, result=row.result or {})
        await self._go_on(row)

    async def redo(self) -> None:
        """It did not happen: run it again."""
        if self.row is None:  # the code is there again
            await self._move(_S.COMPENSATING if self._was_undone else _S.QUEUED)
            return
        await self._set(self.row, state=StepState.FAILED.value, ended_at=self.at)
        await self._go_on(self.row)

    async def undo(self) -> None:
        """Undo what was done, the step in question included."""
        position = Position.of(self._record)
        if position.is_past_return:
            raise WrongState(
                f"operation {self._record.id} is past a step that cannot be undone",
                hint="decide done, redo or give-up",
            )
        row = self.row
        if row is not None and row.phase is StepPhase.DO and row.state is StepState.STARTED:
            await self._mark_for_undo(row)
        elif row is not None and row.phase is StepPhase.UNDO:
            await self._set(row, state=StepState.FAILED.value, ended_at=self.at)
        await self._move(_S.COMPENSATING, {"abort_reason": self._record.abort_reason or f"undone by {self._by}"})

    async def give_up(self) -> None:
        """Leave everything as it is."""
        await self._move(_S.CLOSED)
        await cancel_children(self._connection, self._journal, self._record, why="was given up", at=self.at)
        await release_lock(self._connection, self._record, at=self.at)

    @property
    def _was_undone(self) -> bool:
        return bool((self._record.error or {}).get(UNDOING))

    def _required(self, what: str) -> StepRecord:
        if self.row is None:
            raise WrongState(
                f"operation {self._record.id} has no step whose outcome is open, so it cannot be resolved as {what}",
                hint="decide redo (go on with the code of today), undo or give-up",
            )
        return self.row

    async def _go_on(self, row: StepRecord) -> None:
        if row.phase is StepPhase.UNDO or self._was_undone:
            await self._move(_S.COMPENSATING)
            return
        # What made it stop has been seen by a person; a wish to cancel from before would undo it all after all.
        await self._move(_S.RUNNING, {"cancel_requested_by": None, "cancel_requested_at": None, "abort_reason": None})

    async def _mark_for_undo(self, row: StepRecord) -> None:
        """Nobody knows whether it happened, and yet it is to be undone; where it has no undo, there is nothing to do."""
        step = self._record.planned.plan.steps[row.seq]
        if step.undo is None:
            await self._set(row, state=StepState.SKIPPED.value, ended_at=self.at)
            return
        values = {
            "operation_id": self._record.id,
            "seq": row.seq,
            "phase": StepPhase.UNDO.value,
            "name": row.name,
            "state": StepState.FAILED.value,
            "attempt": self._record.attempt,
            "owner": self._by[:100],
            "tries": 0,
            "started_at": self.at,
            "input_hash": input_hash(step),
            "is_recovered": False,
            "notes": [],
        }
        await self._connection.execute(insert(tables.step).values(values))

    async def _set(self, row: StepRecord, **values: Any) -> None:
        found = tables.step.c
        mine = (found.operation_id == self._record.id, found.seq == row.seq, found.phase == row.phase.value)
        await self._connection.execute(update(tables.step).where(*mine).values(values))

    async def _move(self, new: OperationState, changes: dict[str, Any] | None = None) -> None:
        changes = {"not_before": None, "deadline": None, **(changes or {})}
        await self._journal.move(self._connection, self._record, new, actor=self._by, changes=changes)
