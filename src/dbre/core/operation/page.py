"""One transaction of the journal: rows of steps, the operation's state, and the lease renewed with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.gates.model import GateDecision, Moment
from dbre.core.operation import tables
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.fingerprint import input_hash, result_hash
from dbre.core.operation.flags import Flags, flags_of
from dbre.core.operation.journal import Fence, Journal, subject_of
from dbre.core.operation.lease import LeaseClock
from dbre.core.operation.locks import release_lock
from dbre.core.operation.model import GateRecord, Hold, StepRecord
from dbre.core.operation.outcome import Outcome
from dbre.core.operation.plan import Step
from dbre.core.operation.position import Position
from dbre.core.operation.reading import hold_document
from dbre.core.operation.states import FINAL, OperationState, StepPhase, StepState
from dbre.core.store import Store
from dbre.core.store.notes import defer
from dbre.core.store.upsert import upsert

__all__ = ["Page", "Pen", "open_page"]

_NOTHING = Step("verify")
_PAST = {
    StepPhase.DO: {StepState.DONE: "done", StepState.FAILED: "failed"},
    StepPhase.UNDO: {StepState.DONE: "undone", StepState.FAILED: "undo_failed"},
    StepPhase.VERIFY: {StepState.DONE: "verified", StepState.FAILED: "not_verified"},
}
_BEGUN = {StepPhase.DO: "started", StepPhase.UNDO: "undo_started", StepPhase.VERIFY: "verify_started"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """What every page of one operation is written with."""

    store: Store
    journal: Journal
    leases: LeaseClock
    lease_seconds: float
    fence: Fence


class Page:
    """What one transaction changes; ``position`` is how things stand once it is committed."""

    def __init__(self, connection: AsyncConnection, pen: Pen, position: Position, *, flags: Flags, at: datetime) -> None:
        """``flags`` were read in this transaction, which has renewed the lease and left its mark (``open_page``)."""
        self.connection = connection
        self.position = position
        self.flags = flags
        self.at = at
        self._pen = pen
        self._rows: dict[tuple[int, StepPhase], StepRecord] = {}  # written at the end, in one statement

    @property
    def attempt(self) -> int:
        """The attempt that writes."""
        return self._pen.fence.attempt

    async def start(self, seq: int, phase: StepPhase) -> None:
        """Write ahead that a phase begins; one that was begun before is begun anew."""
        step = self._step(seq, phase)
        earlier = self.position.rows.get((seq, phase))
        row = StepRecord(
            seq=seq,
            phase=phase,
            name=step.name,
            state=StepState.STARTED,
            attempt=self._pen.fence.attempt,
            owner=self._pen.fence.owner,
            tries=0,
            started_at=self.at,
            ended_at=None,
            result=None,
            error=None,
            is_recovered=False,
            progress=None,
            notes=earlier.notes if earlier else (),
        )
        self._put(row)
        await self._audit(row, _BEGUN[phase], {"input_hash": input_hash(step)})

    async def adopt(self, seq: int, phase: StepPhase) -> None:
        """Take over a phase that another attempt began and did not end."""
        row = self.position.rows[seq, phase]
        self._put(replace(row, attempt=self._pen.fence.attempt, owner=self._pen.fence.owner, tries=0))

    async def end(self, seq: int, phase: StepPhase, state: StepState, outcome: Outcome) -> None:
        """Complete the row of a phase: it is known how it ended."""
        row = self.position.rows[seq, phase]
        values = {
            "state": state,
            "ended_at": self.at,
            "result": dict(outcome.result) if outcome.result is not None else None,
            "error": dict(outcome.error) if outcome.error is not None else None,
            "is_recovered": outcome.is_recovered,
            **_trail(row, outcome),
        }
        ended = replace(row, **values)
        self._put(ended)
        facts: dict[str, Any] = {"code": outcome.error.get("code")} if outcome.error else {}
        facts |= {"recovered": True} if outcome.is_recovered else {}
        facts |= {"result_hash": result_hash(outcome.result)} if outcome.result is not None else {}
        await self._audit(ended, _PAST[phase][state], facts)

    async def doubt(self, seq: int, phase: StepPhase, outcome: Outcome) -> None:
        """Keep the row as begun, with what makes its outcome unknown."""
        row = self.position.rows[seq, phase]
        values: dict[str, Any] = {"error": dict(outcome.error) if outcome.error else None, **_trail(row, outcome)}
        self._put(replace(row, **values))
        await self._audit(row, "outcome_unknown", {"code": outcome.error.get("code")} if outcome.error else {})

    async def move(
        self, new: OperationState, changes: Mapping[str, Any] | None = None, audit: Mapping[str, Any] | None = None
    ) -> None:
        """Put the operation into another state; into one where no worker is needed, it is given free."""
        record, values = self.position.record, dict(changes or {})
        is_left = new in FINAL or new in (OperationState.PAUSED, OperationState.NEEDS_OPERATOR)
        if is_left:
            values |= {"owner": None, "lease_epoch": None, "lease_until": None}
        facts = {"worker": self._pen.fence.owner, "attempt": self._pen.fence.attempt} | dict(audit or {})
        await self._pen.journal.move(
            self.connection, record, new, actor=self._pen.fence.owner, fence=self._pen.fence, changes=values, audit=facts
        )
        known = {name: value for name, value in dict(changes or {}).items() if name in _IN_RECORD}
        moved = replace(record, state=new, owner=None if is_left else record.owner, **known)
        if new in FINAL:
            moved = replace(moved, ended_at=self.at)
            await release_lock(self.connection, moved, at=self.at)
        self.position = replace(self.position, record=moved)

    async def pause_for_gate(self, held: GateDecision) -> None:
        """Pause because a gate holds; it is asked again by and by."""
        hold = Hold(by=held.gate, is_gate=True, reason=held.reason, since=self.at)
        await self.move(
            OperationState.PAUSED, {"hold": hold_document(hold), "not_before": self.at + FIRST_LOOK, "dispatched_at": None}
        )

    async def hold(self, hold: Hold | None) -> None:
        """Show why the operation waits, or that it does not any more."""
        await self.write({"hold": hold_document(hold)})
        self.position = replace(self.position, record=replace(self.position.record, hold=hold))

    async def decisions(self, decisions: Sequence[GateDecision], *, moment: Moment, step: str | None) -> None:
        """Write down what gates said."""
        rows = [decision_row(self.position.record.id, one, moment=moment, step=step, at=self.at) for one in decisions]
        if rows:
            await self.connection.execute(insert(tables.gate_decision), rows)
            records = tuple(GateRecord(**{key: value for key, value in row.items() if key != "operation_id"}) for row in rows)
            known = replace(self.position.record, gates=self.position.record.gates + records)
            self.position = replace(self.position, record=known)
            drafts = [decision_draft(self.position.record.id, self._pen.fence.owner, one, step=step) for one in decisions]
            await self._pen.journal.note(self.connection, *drafts)

    async def close(self) -> None:
        """Write the rows of steps, together with those of everybody who shares the transaction.

        An operation that somebody else may take or resolve now is written at once: who reads it in this very transaction
        must see its journal.
        """
        rows = [self._stored(row) for row in self._rows.values()]
        self._rows.clear()
        if self.position.record.owner is None:
            await _write_steps(self.connection, rows)
        else:
            defer(self.connection, _write_steps, rows)

    async def write(self, values: Mapping[str, Any]) -> None:
        """Change columns of the operation."""
        await self._pen.journal.write(self.connection, self.position.record, values, fence=self._pen.fence)

    def _step(self, seq: int, phase: StepPhase) -> Step:
        return _NOTHING if phase is StepPhase.VERIFY else self.position.steps[seq]

    def _put(self, row: StepRecord) -> None:
        self._rows[row.seq, row.phase] = row
        self.position = self.position.with_row(row)

    def _stored(self, row: StepRecord) -> dict[str, Any]:
        digest = input_hash(self._step(row.seq, row.phase))
        return _values(row) | {"operation_id": self.position.record.id, "input_hash": digest}

    async def _audit(self, row: StepRecord, what: str, facts: Mapping[str, Any]) -> None:
        data = {"step": row.name, "seq": row.seq, "phase": row.phase.value, "tries": row.tries}
        data |= {"attempt": self._pen.fence.attempt} | dict(facts)
        draft = AuditDraft(
            action=f"operation.step_{what}" if row.phase is not StepPhase.VERIFY else f"operation.{what}",
            actor=self._pen.fence.owner,
            subject=subject_of(self.position.record.id),
            data=data,
        )
        await self._pen.journal.note(self.connection, draft)


async def _write_steps(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await upsert(connection, tables.step, rows, keys=["operation_id", "seq", "phase"])


async def open_page(connection: AsyncConnection, pen: Pen, position: Position, *, mark: UUID, at: datetime) -> Page:
    """Begin to write: renew the lease, leave the mark, and learn what people want, in one statement.

    Raises: LeaseLost where the operation is not in the hands of the pen's owner any more.
    """
    record, fence = position.record, pen.fence
    mine = {"the_id": record.id, "the_state": record.state.value, "the_owner": fence.owner, "the_attempt": fence.attempt}
    given = mine | {"the_mark": mark} | pen.leases.moment(pen.lease_seconds)
    row = (await connection.execute(pen.leases.opening, given)).mappings().first()
    if row is None:
        raise LeaseLost(record.id, why=f"it is not in the hands of {fence.owner}, attempt {fence.attempt}, any more")
    return Page(connection, pen, position, flags=flags_of(row), at=at)


FIRST_LOOK = timedelta(seconds=5)
"""When a gate that holds is asked again for the first time; then after as long as it has held already, up to a minute."""
_IN_RECORD = frozenset({"abort_reason", "error", "outcome", "not_before", "started_at"})


def decision_row(operation_id: UUID, one: GateDecision, *, moment: Moment, step: str | None, at: datetime) -> dict[str, Any]:
    """A row of the table of gate decisions."""
    return {
        "operation_id": operation_id,
        "gate": one.gate,
        "verdict": one.verdict.value,
        "reason": one.reason,
        "evidence": dict(one.evidence),
        "moment": moment.value,
        "step": step,
        "at": at,
        "is_overridden": one.is_overridden,
    }


def decision_draft(operation_id: UUID, actor: str, one: GateDecision, *, step: str | None) -> AuditDraft:
    """What the audit log says of a gate's decision."""
    action = "gate.overridden" if one.is_overridden else f"gate.{one.verdict.value}"
    data = {"gate": one.gate, "reason": one.reason, "step": step}
    return AuditDraft(action=action, actor=actor, subject=subject_of(operation_id), data=data)


def _values(row: StepRecord) -> dict[str, Any]:
    names = (
        "seq", "name", "attempt", "owner", "tries", "started_at", "ended_at", "result", "error", "is_recovered", "progress"
    )  # fmt: skip
    given = {name: getattr(row, name) for name in names}
    return given | {"phase": row.phase.value, "state": row.state.value, "notes": list(row.notes)}


def _trail(row: StepRecord, outcome: Outcome) -> dict[str, Any]:
    progress = dict(outcome.progress) if outcome.progress else row.progress
    return {"tries": outcome.tries, "progress": progress, "notes": (*row.notes, *outcome.notes)[-LIMIT_NOTES:]}


LIMIT_NOTES = 200
"""Lines of notes that are kept of one phase of a step: the last."""
