"""What a gate is asked, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from dbre.core.operation.plan import PlannedOperation

__all__ = ["SILENCE", "Gate", "GateDecision", "GateQuestion", "GateVerdict", "Moment"]

SILENCE = "fails_open"
"""In the evidence of a decision that a gate's fail mode made in its place: which way it fails."""


class GateVerdict(StrEnum):
    """What a gate says; of several gates the worst counts."""

    ALLOW = "allow"
    HOLD = "hold"  # not now: wait, or pause where you are
    REFUSE = "refuse"  # not at all: do not begin, or stop and undo

    @property
    def weight(self) -> int:
        """0 for allow to 2 for refuse."""
        return list(GateVerdict).index(self)


class Moment(StrEnum):
    """When a gate is asked."""

    START = "start"  # before anything is done
    BOUNDARY = "boundary"  # before a step that is not the first
    INSIDE = "inside"  # once a second while a step runs


@dataclass(frozen=True, slots=True, kw_only=True)
class GateQuestion:
    """May this operation start, or go on?"""

    operation_id: UUID | None  # None: only planned so far (a dry run, ``dbre gate check``)
    planned: PlannedOperation
    requested_by: str
    moment: Moment
    step: str | None  # which step comes next, or runs
    cluster: str | None  # from the target; None: the target is no cluster
    labels: Mapping[str, str]  # of the cluster, with environment, engine and cluster: what selectors compare
    at: datetime
    parent_ids: tuple[UUID, ...] = ()  # of a child operation: whose locks are its own


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """What one gate says, with what it is based on."""

    gate: str
    verdict: GateVerdict
    reason: str  # one sentence with numbers and units: "43 % of the budget of orders-writes is left, the policy wants 50 %"
    evidence: Mapping[str, Any] = field(default_factory=dict)
    valid_until: datetime | None = None  # when asking again may give another answer; None: at any time
    is_overridden: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether the gate could not answer, so that its fail mode decided: asked again, it may."""
        return SILENCE in self.evidence


class Gate(Protocol):
    """May this operation start, or go on? Reads only, answers within a second or is cut off (then: its fail mode)."""

    @property
    def name(self) -> str:
        """Name in plans, commands and the audit log: error-budget."""
        ...

    @property
    def summary(self) -> str:
        """What it guards, in one line, for ``dbre gate list``."""
        ...

    @property
    def asks_always(self) -> bool:
        """Whether every operation is asked about, not only those whose plan names the gate."""
        ...

    def fails_open(self, question: GateQuestion) -> bool:
        """Whether an operation may go on while the gate cannot answer (rollback, restore, failover), or is held (the rest)."""
        ...

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Answer. An exception or silence becomes HOLD or ALLOW by ``fails_open``, with the error as evidence."""
        ...
