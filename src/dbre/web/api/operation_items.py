"""Bodies of requests and answers about operations."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from dbre.core.operation.desk import OverrideRequest, Submission
from dbre.core.operation.model import Resolution
from dbre.core.operation.states import OperationState, StepPhase, StepState

__all__ = [
    "ApprovalBody",
    "ConfirmBody",
    "OperationItem",
    "OverrideBody",
    "PlanBody",
    "PreviewItem",
    "ReasonBody",
    "ResolveBody",
    "SubmitBody",
    "TuneBody",
]

Text = Annotated[str, Field(max_length=2000)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the plan, as a preview gives it.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PlanBody(_Body):
    """What is to be planned."""

    kind: Annotated[str, Field(min_length=1, max_length=100, description="Kind of operation: settings.apply.")]
    input: Annotated[dict[str, Any], Field(description="What the operation is given; its own document says which keys.")]


class OverrideBody(_Body):
    """A gate to bypass, and why."""

    gate: Annotated[str, Field(min_length=1, max_length=63)]
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    ticket: Annotated[str | None, Field(max_length=200)] = None

    def request(self) -> OverrideRequest:
        """For the desk."""
        return OverrideRequest(gate=self.gate, reason=self.reason, ticket=self.ticket)


class SubmitBody(_Body):
    """A plan, or kind and input of which one is made; and how it is to be run."""

    plan: Annotated[dict[str, Any] | None, Field(description="The document of a plan: exactly this one is run.")] = None
    kind: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    input: dict[str, Any] | None = None
    plan_hash: Annotated[Hash | None, Field(description="With kind and input: run the plan of this hash only.")] = None
    reason: Text | None = None
    confirm: Annotated[str | None, Field(max_length=500, description="The target's name, for a severe plan.")] = None
    overrides: Annotated[list[OverrideBody], Field(max_length=20)] = []
    not_before: AwareDatetime | None = None
    deadline: Annotated[AwareDatetime | None, Field(description="Past it, what still runs is stopped and undone.")] = None
    zone: Annotated[str | None, Field(max_length=63)] = None
    priority: Annotated[int, Field(ge=0, le=9, description="9 is first.")] = 4
    fail_if_busy: Annotated[bool, Field(description="409 instead of waiting for a target that is held.")] = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.plan is None) is (self.kind is None or self.input is None):
            raise ValueError("give either plan, or kind and input")
        if self.plan is not None and (self.kind or self.input or self.plan_hash):
            raise ValueError("plan stands alone: it holds kind and input")
        return self

    def submission(self, dedup_key: str | None) -> Submission:
        """For the desk."""
        return Submission(
            reason=self.reason,
            confirm=self.confirm,
            overrides=tuple(one.request() for one in self.overrides),
            dedup_key=dedup_key,
            not_before=self.not_before,
            deadline=self.deadline,
            zone=self.zone,
            priority=self.priority,
            fail_if_busy=self.fail_if_busy,
        )


class ApprovalBody(_Body):
    """Consent to the plan that was looked at."""

    plan_hash: Hash | None = None
    comment: Text | None = None


class ReasonBody(_Body):
    """Why."""

    reason: Text | None = None


class ConfirmBody(_Body):
    """The target's name, for a severe plan."""

    confirm: Annotated[str | None, Field(max_length=500)] = None


class ResolveBody(_Body):
    """What is to become of an operation with an unknown outcome."""

    resolution: Resolution
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class TuneBody(_Body):
    """Tunables and their values, as text."""

    values: Annotated[dict[str, Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=50)]


class HoldItem(BaseModel):
    """Why it waits."""

    by: str
    is_gate: bool
    reason: str
    since: datetime


class StepItem(BaseModel):
    """One phase of one step, as journalled."""

    seq: int
    phase: StepPhase
    name: str
    state: StepState
    attempt: int
    owner: str
    tries: int
    started_at: datetime
    ended_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    is_recovered: bool
    progress: dict[str, Any] | None
    notes: list[str]


class ApprovalItem(BaseModel):
    """One person's consent."""

    approver: str
    plan_hash: str
    at: datetime
    comment: str | None


class OverrideItem(BaseModel):
    """A bypassed gate."""

    gate: str
    by: str
    reason: str
    ticket: str | None
    at: datetime


class GateItem(BaseModel):
    """What a gate said, where it differs from what it said before."""

    gate: str
    verdict: str
    reason: str
    evidence: dict[str, Any]
    moment: str
    step: str | None
    at: datetime
    is_overridden: bool


class ResolutionItem(BaseModel):
    """What a person decided."""

    resolution: Resolution
    by: str
    reason: str
    at: datetime


class OperationItem(BaseModel):
    """An operation. In a list, its journal (``steps`` to ``resolutions``) is empty."""

    id: UUID
    operation: str
    target: str
    summary: str
    risk: str
    state: OperationState
    is_final: bool
    exit_code: Annotated[int, Field(description="What a command that waited for it ends with; 8 while it goes on.")]
    plan_hash: str
    requested_by: str
    reason: str | None
    attempt: int
    owner: str | None
    zone: str | None
    priority: int
    dedup_key: str | None
    parent_id: UUID | None
    created_at: datetime
    not_before: datetime | None
    deadline: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_by: str | None
    abort_reason: str | None
    tuning: dict[str, Any]
    error: dict[str, Any] | None
    outcome: dict[str, Any] | None
    hold: HoldItem | None
    steps: list[StepItem]
    approvals: list[ApprovalItem]
    overrides: list[OverrideItem]
    gates: list[GateItem]
    resolutions: list[ResolutionItem]
    plan: dict[str, Any]


class DecisionItem(BaseModel):
    """What one gate says now."""

    gate: str
    verdict: str
    reason: str
    evidence: dict[str, Any]
    valid_until: datetime | None
    is_overridden: bool


class PreviewItem(BaseModel):
    """A plan, with its hash in ``plan_hash``, and what the gates say of it; nothing is stored."""

    plan: dict[str, Any]
    decisions: list[DecisionItem]
    approvals_needed: int
