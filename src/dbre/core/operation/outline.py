"""The plan beside what became of it: one line a step, for the command line, the pages and the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dbre.core.operation.model import OperationRecord, StepRecord
from dbre.core.operation.plan import Step
from dbre.core.operation.states import FINAL, OperationState, StepPhase, StepState

__all__ = ["OutlineRow", "StepFate", "outline"]


class StepFate(StrEnum):
    """What became of a planned step so far."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # began, and nobody knows whether it happened
    SKIPPED = "skipped"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    NEVER = "not_reached"  # the operation ended before it


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineRow:
    """One planned step and its reality."""

    step: Step
    fate: StepFate
    started_at: datetime | None
    seconds: float | None  # how long its doing took, or has taken until now
    tries: int
    is_recovered: bool  # a probe found after a crash that it had happened
    progress: Mapping[str, Any] | None
    notes: tuple[str, ...]
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None


def outline(record: OperationRecord, *, now: datetime) -> tuple[OutlineRow, ...]:
    """The steps of the plan in their order, each with its fate; ``record`` with its journal."""
    journal = {(one.seq, one.phase): one for one in record.steps}
    return tuple(
        _row(record, step, journal.get((seq, StepPhase.DO)), journal.get((seq, StepPhase.UNDO)), now=now)
        for seq, step in enumerate(record.planned.plan.steps)
    )


def _row(record: OperationRecord, step: Step, do: StepRecord | None, undo: StepRecord | None, *, now: datetime) -> OutlineRow:
    latest = undo or do
    return OutlineRow(
        step=step,
        fate=_fate(record.state, do, undo),
        started_at=do.started_at if do else None,
        seconds=((do.ended_at or now) - do.started_at).total_seconds() if do else None,
        tries=do.tries if do else 0,
        is_recovered=do.is_recovered if do else False,
        progress=do.progress if do else None,
        notes=tuple(line for one in (do, undo) if one for line in one.notes),
        error=latest.error if latest else None,
        result=do.result if do else None,
    )


def _fate(state: OperationState, do: StepRecord | None, undo: StepRecord | None) -> StepFate:
    if do is None:
        return StepFate.NEVER if state in FINAL or state is OperationState.COMPENSATING else StepFate.WAITING
    if undo is not None:
        undone = {StepState.DONE: StepFate.UNDONE, StepState.FAILED: StepFate.UNDO_FAILED, StepState.SKIPPED: StepFate.SKIPPED}
        return undone.get(undo.state, StepFate.UNKNOWN if state is OperationState.NEEDS_OPERATOR else StepFate.UNDOING)
    if do.state is StepState.STARTED:
        return StepFate.RUNNING if state in (OperationState.RUNNING, OperationState.PAUSED) else StepFate.UNKNOWN
    return {StepState.DONE: StepFate.DONE, StepState.FAILED: StepFate.FAILED, StepState.SKIPPED: StepFate.SKIPPED}[do.state]
