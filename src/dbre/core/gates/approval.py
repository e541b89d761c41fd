"""The gate ``approval``: enough other people consented to exactly this plan."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.gates.scope import Scope, matches_any
from dbre.core.operation.plan import PlannedOperation, Risk
from dbre.core.text import counted, printable

if TYPE_CHECKING:
    from dbre.core.store import Store

__all__ = [
    "APPROVAL",
    "DEFAULT_POLICY",
    "NEEDED",
    "ApprovalGate",
    "ApprovalPolicy",
    "approvals_wanted",
    "consents",
    "fresh_question",
]

APPROVAL = "approval"
NEEDED = "approvals_needed"
"""The key of a decision's evidence that says how many consents would turn its hold into an allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """How many people have to consent to which operations."""

    name: str
    scope: Scope = field(default_factory=lambda: Scope(risk=Risk.MODERATE, exempt=()))
    count: int = 1
    approvers: tuple[str, ...] = ()  # patterns of names; none: whoever may approve


DEFAULT_POLICY = ApprovalPolicy(name="severe", scope=Scope(risk=Risk.SEVERE, exempt=("failover", "rollback")))
"""What holds where identities are configured and ``gates.approvals`` is not: four eyes for whatever may lose data."""


class ApprovalGate:
    """Counts stored consents. Which permission an approver needs is checked when they approve."""

    name = APPROVAL
    summary = "enough other people consented to this plan"
    asks_always = True

    def __init__(self, store: "Store | None", policies: Sequence[ApprovalPolicy]) -> None:
        self._store = store
        self._policies = tuple(policies)

    def fails_open(self, question: GateQuestion) -> bool:
        """Never where consent is needed: nobody knows that it was given."""
        return not self._covering(question)

    def approvals_needed(self, planned: PlannedOperation, labels: Mapping[str, str]) -> int:
        """How many consents of other people the operation needs before it runs; 0: it runs without."""
        covering = self._covering(fresh_question(planned, labels))
        return max((policy.count for policy in covering), default=0)

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Allow what needs no consent, or has it."""
        covering = self._covering(question)
        if not covering:
            return self._decision(GateVerdict.ALLOW, "no approval is needed", {NEEDED: 0})
        names = await consents(self._store, question)
        policy = min(covering, key=lambda one: len(_counted(one, names)) - one.count)  # the one that is furthest from enough
        found = sorted(_counted(policy, names))
        evidence: Mapping[str, object] = {NEEDED: policy.count, "policy": policy.name, "approved_by": found}
        who = f" by {printable(', '.join(found), limit=200)}" if found else ""
        if len(found) >= policy.count:
            return self._decision(GateVerdict.ALLOW, f"approved{who}; policy {policy.name} wants {policy.count}", evidence)
        wanted = f" of {' or '.join(policy.approvers)}" if policy.approvers else ""
        have = f"{len(found)} of {counted(policy.count, 'approval')}{wanted}"
        target = printable(question.planned.plan.target, limit=150)
        reason = f"{question.planned.kind} on {target} has {have} by others than {printable(question.requested_by)}{who}"
        return self._decision(GateVerdict.HOLD, f"{reason} (policy {policy.name})", evidence)

    def _covering(self, question: GateQuestion) -> list[ApprovalPolicy]:
        return [policy for policy in self._policies if policy.scope.covers(question)]

    def _decision(self, verdict: GateVerdict, reason: str, evidence: Mapping[str, object]) -> GateDecision:
        return GateDecision(gate=self.name, verdict=verdict, reason=reason, evidence=evidence)


def _counted(policy: ApprovalPolicy, names: Collection[str]) -> set[str]:
    return {name for name in names if not policy.approvers or matches_any(name, policy.approvers)}


def fresh_question(planned: PlannedOperation, labels: Mapping[str, str]) -> GateQuestion:
    """A question about a plan that is not stored; for what depends on the plan and the labels alone."""
    return GateQuestion(
        operation_id=None,
        planned=planned,
        requested_by="",
        moment=Moment.START,
        step=None,
        cluster=labels.get("cluster"),
        labels=labels,
        at=datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
    )


async def consents(store: "Store | None", question: GateQuestion) -> frozenset[str]:
    """Names of those who consented to the stored plan, the requester left out; upper and lower case are one name.

    For a child the consents to its ancestors count too: whoever approved a plan approved what its steps start.
    """
    from dbre.core.operation.gate_reading import approvers

    ids = [one for one in (question.operation_id, *question.parent_ids) if one is not None]
    if store is None or not ids:
        return frozenset()
    async with store.read() as connection:
        names = {name.casefold(): name for name in await approvers(connection, ids)}
    names.pop(question.requested_by.casefold(), None)
    return frozenset(names.values())


def approvals_wanted(decisions: Sequence[GateDecision]) -> int:
    """How many consents it takes until no gate holds for want of them, whichever gate asks: a policy, or a budget."""
    return max((_wanted(one) for one in decisions if one.verdict is GateVerdict.HOLD), default=0)


def _wanted(decision: GateDecision) -> int:
    needed = decision.evidence.get(NEEDED, 0)
    return needed if isinstance(needed, int) else 0
