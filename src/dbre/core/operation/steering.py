"""What a person changes of an operation that is stored: pause, resume, cancel, other values. Each in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.errors import UsageError
from dbre.core.operation.definition import Tunable
from dbre.core.operation.errors import WrongState
from dbre.core.operation.journal import Journal, subject_of
from dbre.core.operation.locks import release_lock
from dbre.core.operation.model import Hold, OperationRecord
from dbre.core.operation.orphans import cancel_children
from dbre.core.operation.position import Position
from dbre.core.operation.reading import hold_document
from dbre.core.operation.states import OperationState
from dbre.core.text import closest, printable, quoted

__all__ = ["LONGEST_REASON", "Steering", "tuning_of"]

_S = OperationState
_BEFORE_START = frozenset({_S.PLANNED, _S.AWAITING_APPROVAL, _S.QUEUED, _S.PAUSED})
_RUNNING = frozenset({_S.RUNNING, _S.VERIFYING})
LONGEST_REASON = 2000
"""Characters of what a person gives as a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Changes operations for one person; ``at`` is the moment."""

    connection: AsyncConnection
    journal: Journal
    actor: str
    at: datetime

    async def pause(self, record: OperationRecord, reason: str | None) -> None:
        """Before its start it waits; a running one is flagged, and stops at its next boundary."""
        why = _reason(reason) or f"paused by {self.actor}"
        hold = hold_document(Hold(by=self.actor, is_gate=False, reason=why, since=self.at))
        if record.state is _S.QUEUED:
            await self.journal.move(self.connection, record, _S.PAUSED, actor=self.actor, changes={"hold": hold})
        elif record.state is _S.PAUSED:
            if record.hold is None or record.hold.is_gate:  # no gate wakes it any more
                await self.journal.write(self.connection, record, {"hold": hold})
                await self._note("operation.pause_requested", record, {"reason": reason})
        elif record.state in _RUNNING:
            await self.journal.write(
                self.connection, record, {"pause_requested_by": self.actor, "pause_reason": _reason(reason)}
            )
            await self._note("operation.pause_requested", record, {"reason": reason})
        else:
            raise _wrong(record, "cannot be paused")

    async def resume(self, record: OperationRecord) -> None:
        """Let it be taken again; a pause that has not come about yet is forgotten."""
        if record.state is _S.PAUSED:
            changes: dict[str, Any] = {"hold": None, "pause_requested_by": None, "pause_reason": None}
            if record.started_at is not None or (record.hold is not None and record.hold.is_gate):
                changes["not_before"] = None  # a gate's, not the start that somebody asked for
            await self.journal.move(self.connection, record, _S.QUEUED, actor=self.actor, changes=changes)
        elif record.state in _RUNNING:
            await self.journal.write(self.connection, record, {"pause_requested_by": None, "pause_reason": None})
            await self._note("operation.resume_requested", record, {})
        elif record.state is not _S.QUEUED:
            raise _wrong(record, "is not paused")

    async def cancel(self, record: OperationRecord, reason: str | None) -> None:
        """What has not begun is cancelled at once; what has is flagged, and undone by the worker that takes it."""
        if record.state in (_S.CANCELLED, _S.COMPENSATING) or record.cancel_requested_by is not None:
            return
        if record.is_final or record.state is _S.NEEDS_OPERATOR:
            raise _wrong(record, "cannot be cancelled")
        why = f"cancelled by {self.actor}" + (f": {given}" if (given := _reason(reason)) else "")
        asked = {"cancel_requested_by": self.actor, "cancel_requested_at": self.at, "abort_reason": why}
        if record.state in _BEFORE_START and record.started_at is None:
            await self.journal.move(
                self.connection,
                record,
                _S.CANCELLED,
                actor=self.actor,
                changes=asked | {"hold": None},
                audit={"reason": reason},
            )
            await release_lock(self.connection, record, at=self.at)
        elif record.state is _S.PAUSED:
            changes = asked | {"hold": None, "not_before": None, "pause_requested_by": None, "pause_reason": None}
            await self.journal.move(self.connection, record, _S.QUEUED, actor=self.actor, changes=changes)
            await self._note("operation.cancel_requested", record, {"reason": reason})
            await self._cancel_children(record)
        else:
            at_once = {"not_before": None, "dispatched_at": None} if record.state is _S.QUEUED else {}
            await self.journal.write(self.connection, record, asked | at_once)
            await self._note("operation.cancel_requested", record, {"reason": reason})
            await self._cancel_children(record)

    async def _cancel_children(self, record: OperationRecord) -> None:
        """With it, unless the step that runs heeds no wish to cancel: then the child's end is wanted still."""
        position = Position.of(record)
        todo = position.first_to_do()
        is_final = todo is not None and position.steps[todo.seq].irreversible
        if not position.is_past_return and not is_final:
            await cancel_children(self.connection, self.journal, record, why="is cancelled", at=self.at)

    async def tune(self, record: OperationRecord, values: Mapping[str, Any]) -> None:
        """Other values from now on; ``values`` have been read by their tunables."""
        if record.is_final:
            raise _wrong(record, "cannot be tuned")
        await self.journal.write(self.connection, record, {"tuning": {**record.tuning, **values}})
        await self._note("operation.tuned", record, dict(values))

    async def wake(self, record: OperationRecord) -> None:
        """Have the gates asked again at once, where one holds it."""
        if record.hold is not None and record.hold.is_gate and not record.is_final:
            await self.journal.write(self.connection, record, {"not_before": self.at, "dispatched_at": None})

    async def _note(self, action: str, record: OperationRecord, data: Mapping[str, Any]) -> None:
        draft = AuditDraft(action=action, actor=self.actor, subject=subject_of(record.id), data=data)
        await self.journal.note(self.connection, draft)


def tuning_of(kind: str, tunables: Mapping[str, Tunable], values: Mapping[str, str]) -> dict[str, str]:
    """The texts, once each was read by its tunable. Raises: UsageError naming what the operation has."""
    if not values:
        raise UsageError("nothing says what to change", hint=_listed(kind, tunables))
    for name, text in values.items():
        if name not in tunables:
            near = closest(name, tunables)
            hint = f"did you mean {near}?" if near else _listed(kind, tunables)
            raise UsageError(f"{kind} has no tunable {quoted(name, limit=100)}", hint=hint)
        try:
            tunables[name].parse(text)
        except ValueError as error:
            said = error.message if isinstance(error, UsageError) else str(error)
            raise UsageError(
                f"{name}={printable(text, limit=100)} does not fit: {printable(said, limit=300)}", hint=tunables[name].summary
            ) from error
    return dict(values)


def _listed(kind: str, tunables: Mapping[str, Tunable]) -> str:
    if not tunables:
        return f"{kind} has nothing that can be tuned"
    return "; ".join(f"{name}: {one.summary} (default {one.default})" for name, one in tunables.items())


def _reason(text: str | None) -> str | None:
    if text is not None and len(text) > LONGEST_REASON:
        raise UsageError(f"a reason of {len(text)} characters is too long, the limit is {LONGEST_REASON}")
    return text.strip() or None if text is not None else None


def _wrong(record: OperationRecord, what: str) -> WrongState:
    next_step = f"dbre op resolve {record.id}" if record.state is _S.NEEDS_OPERATOR else f"dbre op show {record.id}"
    return WrongState(
        f"operation {record.id} is {record.state} and {what}", hint=next_step, context={"state": record.state.value}
    )
