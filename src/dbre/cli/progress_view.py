"""How an operation is shown while it goes on: live on a terminal, one line for each change elsewhere, events for programs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from dbre.cli.operation_text import hold_text, outline_line
from dbre.core.operation.model import OperationRecord, StepRecord
from dbre.core.operation.outline import outline
from dbre.core.operation.states import OperationState, StepPhase, StepState
from dbre.core.progress import report
from dbre.core.text import printable

__all__ = ["ProgressView", "changes_between", "progress_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is different since the last look."""

    text: str
    document: dict[str, Any]


class ProgressView(Protocol):
    """Shows an operation each time that it was looked at."""

    def show(self, record: OperationRecord, *, now: datetime) -> None:
        """The operation as it is."""
        ...

    def say(self, text: str) -> None:
        """A sentence beside it."""
        ...

    def close(self) -> None:
        """Nothing more will be shown."""
        ...


def progress_view(*, quiet: bool, events: bool) -> ProgressView:
    """What fits the place: events on stdout, nothing, a live picture, or lines."""
    if events:
        return _Events()
    if not quiet and sys.stderr.isatty():
        return _Live()
    return _Lines()  # which say nothing where the command was told to be quiet


class _Lines:
    def __init__(self) -> None:
        self._last: OperationRecord | None = None

    def show(self, record: OperationRecord, *, now: datetime) -> None:  # noqa: ARG002 - the protocol's
        for change in changes_between(self._last, record):
            report(change.text)
        self._last = record

    def say(self, text: str) -> None:
        report(printable(text, limit=1000))

    def close(self) -> None:
        pass


class _Events:
    def __init__(self) -> None:
        self._last: OperationRecord | None = None

    def show(self, record: OperationRecord, *, now: datetime) -> None:
        from dbre.cli.render.documents import json_text
        from dbre.cli.render.values import as_json_value

        for change in changes_between(self._last, record):
            line = {"at": now, "operation_id": str(record.id), **change.document}
            sys.stdout.write(json_text(as_json_value(line)) + "\n")
        sys.stdout.flush()
        self._last = record

    def say(self, text: str) -> None:
        report(printable(text, limit=1000))

    def close(self) -> None:
        pass


class _Live:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=False)
        self._live.start()

    def show(self, record: OperationRecord, *, now: datetime) -> None:
        from rich.text import Text

        lines = [f"operation {record.id}: {record.state}", *(f"  {outline_line(row)}" for row in outline(record, now=now))]
        if record.hold is not None and not record.is_final:
            lines.append(f"  ⏸ {hold_text(record.hold)}")
        if record.cancel_requested_by is not None and not record.is_final:
            lines.append(f"  cancel was asked for by {printable(record.cancel_requested_by)}")
        self._live.update(Text("\n".join(lines), no_wrap=False), refresh=True)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._live.console.print(Text(printable(text, limit=1000)))

    def close(self) -> None:
        self._live.stop()


def changes_between(old: OperationRecord | None, new: OperationRecord) -> Iterator[Change]:
    """What a person or a program wants to hear of, in the order in which it happened."""
    is_new = old is None or old.state is not new.state or _held(old) != _held(new)
    ends = new.is_final or new.hold is not None or new.state is OperationState.NEEDS_OPERATOR
    if is_new and not ends:
        yield _state_change(new)
    known = {(one.seq, one.phase): one for one in old.steps} if old is not None else {}
    for step in new.steps:
        before = known.get((step.seq, step.phase))
        if before is None or (before.state, before.attempt) != (step.state, step.attempt):
            yield _step_change(new, step)
        for note in step.notes[len(before.notes) if before is not None else 0 :]:
            yield Change(text=f"  {printable(note, limit=500)}", document={"event": "note", "step": step.name, "text": note})
    if is_new and ends:
        yield _state_change(new)


def _held(record: OperationRecord) -> tuple[str, str] | None:
    return (record.hold.by, record.hold.reason) if record.hold is not None else None


def _state_change(new: OperationRecord) -> Change:
    is_held = new.hold is not None and not new.is_final
    text = f"operation {new.id}: {new.state}" + (f", {hold_text(new.hold)}" if is_held and new.hold is not None else "")
    if new.error is not None and new.is_final:
        text += f": {printable(str(new.error.get('message')), limit=500)}"
    elif new.abort_reason is not None and new.is_final:
        text += f": {printable(new.abort_reason, limit=500)}"
    hold = {"by": new.hold.by, "is_gate": new.hold.is_gate, "reason": new.hold.reason} if new.hold is not None else None
    return Change(text=text, document={"event": "state", "state": new.state.value, "hold": hold, "error": new.error})


_VERBS: dict[tuple[StepPhase, StepState], str] = {
    (StepPhase.DO, StepState.STARTED): "started",
    (StepPhase.DO, StepState.DONE): "done",
    (StepPhase.DO, StepState.FAILED): "failed",
    (StepPhase.UNDO, StepState.STARTED): "is being undone",
    (StepPhase.UNDO, StepState.DONE): "undone",
    (StepPhase.UNDO, StepState.FAILED): "could not be undone",
    (StepPhase.VERIFY, StepState.STARTED): "verification started",
    (StepPhase.VERIFY, StepState.DONE): "verified",
    (StepPhase.VERIFY, StepState.FAILED): "is not as wanted",
}


def _step_change(new: OperationRecord, step: StepRecord) -> Change:
    count = len(new.planned.plan.steps)
    place = f"step {step.seq + 1}/{count} {printable(step.name)}" if step.phase is not StepPhase.VERIFY else "the result"
    text = f"{place} {_VERBS.get((step.phase, step.state), step.state.value)}"
    seconds = (step.ended_at - step.started_at).total_seconds() if step.ended_at is not None else None
    if seconds is not None:
        text += f" in {max(seconds, 0):.1f} s"
    if step.error is not None:
        text += f": {printable(str(step.error.get('message')), limit=500)}"
    document = {"event": "step", "step": step.name, "phase": step.phase.value, "state": step.state.value}
    return Change(text=text, document=document | {"seconds": seconds, "attempt": step.attempt, "error": step.error})
