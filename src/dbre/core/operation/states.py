"""The states of an operation and of its steps, and which may follow which; everything else is a defect and is refused."""

from enum import StrEnum

__all__ = ["CLAIMABLE", "FINAL", "OperationState", "StepPhase", "StepState", "check_transition"]


class OperationState(StrEnum):
    """Where an operation stands; see ``docs/reference/operations.md`` for the picture."""

    PLANNED = "planned"  # a stored plan that nobody has asked to run
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"  # between two steps, by a person or because a gate holds
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # before anything that would have to be undone
    CANCELLED = "cancelled"  # before anything happened
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"  # every step that was done is undone
    NEEDS_OPERATOR = "needs_operator"  # the outcome is not known, or cannot be undone: a person must look
    CLOSED = "closed"  # given up by a person, with a reason


class StepPhase(StrEnum):
    """What of a step is recorded: its doing, its undoing, or the verification at the end."""

    DO = "do"
    UNDO = "undo"
    VERIFY = "verify"


class StepState(StrEnum):
    """How far one phase of one step has come. A ``started`` one whose worker is gone has an unknown outcome."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"  # known not to have happened, or to have happened in vain
    SKIPPED = "skipped"  # by a person (resolve)


FINAL = frozenset(
    {
        OperationState.SUCCEEDED,
        OperationState.FAILED,
        OperationState.CANCELLED,
        OperationState.COMPENSATED,
        OperationState.CLOSED,
    }
)
"""States that nothing leaves."""

CLAIMABLE = frozenset({OperationState.QUEUED, OperationState.RUNNING, OperationState.VERIFYING, OperationState.COMPENSATING})
"""States in which a worker may take an operation, when nobody has a lease on it."""

_S = OperationState
_NEXT: dict[OperationState, frozenset[OperationState]] = {
    _S.PLANNED: frozenset({_S.AWAITING_APPROVAL, _S.QUEUED, _S.CANCELLED}),
    _S.AWAITING_APPROVAL: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.CANCELLED, _S.AWAITING_APPROVAL, _S.NEEDS_OPERATOR, _S.COMPENSATING}),
    _S.RUNNING: frozenset({_S.VERIFYING, _S.PAUSED, _S.COMPENSATING, _S.FAILED, _S.NEEDS_OPERATOR, _S.SUCCEEDED}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.COMPENSATING, _S.CANCELLED, _S.FAILED, _S.NEEDS_OPERATOR}),
    _S.VERIFYING: frozenset({_S.SUCCEEDED, _S.COMPENSATING, _S.FAILED, _S.NEEDS_OPERATOR}),
    _S.COMPENSATING: frozenset({_S.COMPENSATED, _S.NEEDS_OPERATOR, _S.FAILED}),
    _S.NEEDS_OPERATOR: frozenset({_S.RUNNING, _S.QUEUED, _S.COMPENSATING, _S.CLOSED}),
}


def check_transition(old: OperationState, new: OperationState) -> None:
    """See that ``new`` may follow ``old``. Raises: ValueError, which is a defect of the program, where it may not."""
    if new not in _NEXT.get(old, frozenset()):
        raise ValueError(f"an operation cannot go from {old} to {new}")
