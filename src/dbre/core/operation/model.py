"""What is stored of an operation, as it is read back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.core.errors import ExitCode
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import FINAL, OperationState, StepPhase, StepState

__all__ = ["Approval", "GateRecord", "Hold", "OperationRecord", "Override", "Resolution", "Resolved", "StepRecord"]


class Resolution(StrEnum):
    """What a person decides of an operation that needs an operator."""

    DONE = "done"  # the step happened: go on after it
    REDO = "redo"  # it did not: run it (again)
    UNDO = "undo"  # undo what was done
    GIVE_UP = "give-up"  # leave everything as it is and close


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why an operation waits."""

    by: str  # a gate's name, or the name of the person who paused it
    is_gate: bool
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One phase of one step, as journalled."""

    seq: int  # position in the plan, from 0; the verification's is the number of steps
    phase: StepPhase
    name: str
    state: StepState
    attempt: int  # of the operation, when this phase was started: half of the fencing token
    owner: str
    tries: int  # how often the handler was called in that attempt
    started_at: datetime
    ended_at: datetime | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None  # code, message, hint
    is_recovered: bool  # a probe found after a crash that it had happened
    progress: Mapping[str, Any] | None  # done, total, unit, at
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's consent to one plan; another plan's hash makes it void."""

    approver: str
    plan_hash: str
    at: datetime
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An audited bypass of one gate for one operation."""

    gate: str
    by: str
    reason: str
    ticket: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """What a gate said; written when it differs from what it said before."""

    gate: str
    verdict: str  # allow, hold, refuse
    reason: str
    evidence: Mapping[str, Any]
    moment: str  # before the start, at a step's boundary, inside a step
    step: str | None
    at: datetime
    is_overridden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a person decided of an operation that needed an operator."""

    resolution: Resolution
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """An operation as stored. Moments are UTC of the machine that wrote them."""

    id: UUID
    planned: PlannedOperation
    plan_hash: str
    state: OperationState
    requested_by: str
    reason: str | None
    attempt: int  # how often a worker has taken it; half of the fencing token
    owner: str | None  # the worker that has it now
    zone: str | None  # whose workers run it; None: workers without zone
    priority: int  # 0 to 9, 9 first
    dedup_key: str | None
    parent_id: UUID | None
    created_at: datetime
    not_before: datetime | None
    deadline: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_by: str | None
    abort_reason: str | None  # cancelled by whom, which gate refused, which deadline passed
    hold: Hold | None
    tuning: Mapping[str, Any]
    error: Mapping[str, Any] | None  # of the step that failed: code, message, hint
    outcome: Mapping[str, Any] | None  # result of the last step, verifications, what was undone
    steps: tuple[StepRecord, ...] = ()  # only where asked for
    approvals: tuple[Approval, ...] = ()
    overrides: tuple[Override, ...] = ()
    gates: tuple[GateRecord, ...] = ()
    resolutions: tuple[Resolved, ...] = field(default=())

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL

    @property
    def exit_code(self) -> ExitCode:
        """What a command that waited for the operation ends with; PENDING while it goes on."""
        if self.state is OperationState.FAILED and ((self.error or {}).get("context") or {}).get("is_refusal"):
            return ExitCode.REFUSED  # a step looked before it did anything, and nothing was begun
        return _EXIT_CODES.get(self.state, ExitCode.PENDING)


_EXIT_CODES = {
    OperationState.SUCCEEDED: ExitCode.OK,
    OperationState.FAILED: ExitCode.FAILED,
    OperationState.CANCELLED: ExitCode.REFUSED,
    OperationState.COMPENSATED: ExitCode.COMPENSATED,
    OperationState.NEEDS_OPERATOR: ExitCode.NEEDS_OPERATOR,
    OperationState.CLOSED: ExitCode.FAILED,
}
