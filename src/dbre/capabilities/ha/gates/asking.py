"""What the gates over replicas have in common: whom a policy is about, and the sweep they look at."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from dbre.capabilities.ha.gates.policies import ReplicaPolicy
from dbre.capabilities.ha.sweeps import Sweep
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.gates.scope import is_urgent
from dbre.core.text import printable

__all__ = ["ReplicaGate"]

Policy = TypeVar("Policy", bound=ReplicaPolicy)


class ReplicaGate(ABC, Generic[Policy]):
    """Asks the servers of the target, by a sweep that is some seconds old at most. Plans ask by its name, policies without."""

    name: str
    summary: str
    asks_always = True

    def __init__(self, policies: Sequence[Policy], by_name: Policy, sweep: Callable[[str], Awaitable[Sweep]]) -> None:
        self._policies = tuple(policies)
        self._by_name = by_name  # for plans that name the gate where no policy is about them
        self._sweep = sweep

    def fails_open(self, question: GateQuestion) -> bool:
        """For what reads or repairs, and for what no policy is about."""
        return is_urgent(question) or not self._asked(question)

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Allow what no policy is about, or what all of them allow."""
        policies, kind = self._asked(question), question.planned.kind
        if not policies:
            return self._decision(GateVerdict.ALLOW, f"no policy of {self.name} is about {kind} now")
        if question.cluster is None:
            return self._decision(GateVerdict.ALLOW, "the target is no cluster, so it has no replicas")
        sweep = await self._sweep(question.cluster)
        judged = [self._judge(one, sweep, question) for one in policies]
        worst = max(judged, key=lambda one: one.verdict.weight)
        seen = {"seen_at": sweep.at.isoformat()}
        return self._decision(worst.verdict, printable(worst.reason, limit=400), {**worst.evidence, **seen})

    @abstractmethod
    def _judge(self, policy: Policy, sweep: Sweep, question: GateQuestion) -> GateDecision:
        """What one policy says of a sweep."""

    def _asked(self, question: GateQuestion) -> list[Policy]:
        """Every policy that is about the operation."""
        found = [one for one in self._policies if one.covers(question)]
        is_named = self.name in question.planned.plan.gates and question.moment is Moment.START
        return found or ([self._by_name] if is_named else [])

    def _decision(self, verdict: GateVerdict, reason: str, evidence: Mapping[str, object] | None = None) -> GateDecision:
        return GateDecision(gate=self.name, verdict=verdict, reason=reason, evidence=evidence or {})
