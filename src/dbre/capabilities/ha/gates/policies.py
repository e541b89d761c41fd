"""Which operations wait for replicas, and for what of them."""

from dataclasses import dataclass
from datetime import timedelta

from dbre.core.gates.model import GateQuestion, GateVerdict, Moment
from dbre.core.gates.scope import Scope

__all__ = ["LagPolicy", "RedundancyPolicy", "ReplicaPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPolicy:
    """One policy; ``holds_running``: an operation that has begun is asked about again before each step, and while one runs."""

    name: str
    scope: Scope
    then: GateVerdict = GateVerdict.HOLD
    holds_running: bool = False

    def covers(self, question: GateQuestion) -> bool:
        """Whether it is about the operation, now."""
        is_now = question.moment is Moment.START or self.holds_running
        return is_now and self.scope.covers(question)


@dataclass(frozen=True, slots=True, kw_only=True)
class LagPolicy(ReplicaPolicy):
    """How far each replica may be behind. None: it may be any distance."""

    max_bytes: int | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedundancyPolicy(ReplicaPolicy):
    """How many healthy replicas must be left while the operation works."""

    least: int = 1
