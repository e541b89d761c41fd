"""What can be wrong with an operation."""

from uuid import UUID

from dbre.core.errors import Conflict, DbreError, ExitCode, Refused, UsageError

__all__ = [
    "ConfirmationMissing",
    "GateRefused",
    "LeaseLost",
    "NoSuchOperation",
    "OperationConflict",
    "PlanChanged",
    "TargetBusy",
    "VerificationFailed",
    "WrongState",
]


class LeaseLost(BaseException):
    """Another worker has the operation, or may have it: stop at once, write nothing, undo nothing.

    Not an ``Exception``, so that no handler of a step can catch it by mistake.
    """

    def __init__(self, operation_id: UUID, *, why: str) -> None:
        super().__init__(f"operation {operation_id}: {why}")
        self.operation_id = operation_id


class NoSuchOperation(UsageError):
    """The store has no operation of that id."""

    code = "operation.unknown"


class ConfirmationMissing(UsageError):
    """A severe act needs its target's name, typed or given, and got none or another one."""

    code = "operation.confirmation_missing"


class GateRefused(Refused):
    """A gate refuses the operation as it is."""

    code = "operation.gate_refused"


class OperationConflict(Conflict):
    """The dedup key belongs to another operation, or somebody else changed this one at the same moment."""

    code = "operation.conflict"


class PlanChanged(Conflict):
    """What the plan relied on is different now, so another plan would be made: look at that one."""

    code = "operation.plan_changed"


class TargetBusy(Conflict):
    """Another operation holds the target."""

    code = "operation.target_busy"
    retryable = True


class WrongState(Refused):
    """What was asked cannot be done with an operation in this state."""

    code = "operation.wrong_state"


class VerificationFailed(DbreError):
    """Every step ended well, and yet the goal is not reached."""

    code = "operation.verification_failed"
    exit_code = ExitCode.FAILED
