"""What people and programs may do with operations: one interface for the command line, the API and the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from dbre.core.gates.model import GateDecision
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import OperationState

__all__ = ["OperationDesk", "OperationFilter", "OverrideRequest", "Preview", "RunsHere", "Submission"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRequest:
    """Asks to bypass one gate."""

    gate: str
    reason: str
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """How a plan is to be run."""

    reason: str | None = None
    confirm: str | None = None  # what the person typed; a severe plan is refused without its target's name
    overrides: tuple[OverrideRequest, ...] = ()
    dedup_key: str | None = None  # the same key again gives the first operation again
    not_before: datetime | None = None
    deadline: datetime | None = None  # past it, an operation that still runs is stopped and undone
    zone: str | None = None
    priority: int = 4  # 0 to 9, 9 first
    fail_if_busy: bool = False  # refuse with TargetBusy instead of waiting for the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan and what the gates say of it now; nothing is stored."""

    planned: PlannedOperation
    decisions: tuple[GateDecision, ...]
    approvals_needed: int  # consents of other people that it needs before it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFilter:
    """Which operations to list, the newest first."""

    states: tuple[OperationState, ...] = ()  # none: all
    kind: str | None = None
    target: str | None = None  # this target and everything below it
    requested_by: str | None = None
    before: UUID | None = None  # older than this one: the next page
    id_part: str | None = None  # the first or last characters of an id, dashes included
    dedup_key: str | None = None
    limit: int = 25


class OperationDesk(Protocol):
    """Acts for one principal, who is checked at each call. Raises: Denied, NoSuchOperation, WrongState, Conflict, Refused."""

    async def preview(self, kind: str, asked: Mapping[str, Any]) -> Preview:
        """Validate the input, look, and make the plan; nothing is stored."""
        ...

    async def submit(self, planned: PlannedOperation, submission: Submission) -> OperationRecord:
        """Plan again from the same input, and store the operation if the plan has the same hash.

        Raises: PlanChanged where the plan would be another one now; Refused where a gate refuses.
        """
        ...

    async def request(
        self, kind: str, asked: Mapping[str, Any], submission: Submission, *, plan_hash: str | None = None
    ) -> OperationRecord:
        """Plan and submit in one go, for programs that want the act whatever its plan is, or exactly that of ``plan_hash``.

        The same dedup key with the same input gives the first operation again, though a plan made now would be another one.

        Raises: PlanChanged where ``plan_hash`` is another plan's; and as ``submit``.
        """
        ...

    async def approve(self, operation_id: UUID, *, plan_hash: str | None = None, comment: str | None = None) -> OperationRecord:
        """Consent to the stored plan. Raises: Denied for the requester; Conflict where ``plan_hash`` is another plan's."""
        ...

    async def pause(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary, until ``resume``."""
        ...

    async def resume(self, operation_id: UUID) -> OperationRecord:
        """Go on after ``pause``."""
        ...

    async def cancel(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary and undo what was done."""
        ...

    async def retry(self, operation_id: UUID, *, confirm: str | None = None) -> OperationRecord:
        """Submit the input of an operation that ended badly once more, as a new operation, if its plan is still the same.

        ``confirm`` is what the person typed, as in ``Submission``.
        """
        ...

    async def resolve(self, operation_id: UUID, resolution: Resolution, *, reason: str) -> OperationRecord:
        """Decide for an operation that needs an operator."""
        ...

    async def tune(self, operation_id: UUID, values: Mapping[str, str]) -> OperationRecord:
        """Change tunables of a running operation. Raises: UsageError naming the tunables that it has."""
        ...

    async def override(self, operation_id: UUID, request: OverrideRequest) -> OperationRecord:
        """Bypass a gate that holds an operation that is stored already."""
        ...

    async def get(self, operation_id: UUID) -> OperationRecord:
        """One operation with its journal."""
        ...

    async def list(self, wanted: OperationFilter) -> Sequence[OperationRecord]:
        """Operations without their journals."""
        ...


@runtime_checkable
class RunsHere(Protocol):
    """A desk whose process can run operations itself, where nobody else does."""

    async def is_served(self, zone: str | None) -> bool:
        """Whether a worker of that zone lives: then it is waited for."""
        ...

    async def is_held(self, operation_id: UUID) -> bool:
        """Whether a process runs it at this moment: a worker, or a command that does so itself."""
        ...

    async def run_here(self, operation_id: UUID) -> None:
        """Run it in this process as far as it goes now. Cancelled: stop, undo nothing."""
        ...
