"""The gate ``error-budget``: what is left of the promises to users decides what may be changed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dbre.capabilities.slo.budget_documents import ERROR_BUDGET_POLICIES, budget_policies
from dbre.capabilities.slo.budget_policy import (
    BudgetPolicy,
    BurnAtLeast,
    Consequence,
    Finding,
    findings_of,
    policies_asked,
    watching,
)
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.documents import ALERTING, SLOS, definitions_from
from dbre.capabilities.slo.model import SloStatus
from dbre.core.gates.approval import NEEDED, consents
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict
from dbre.core.gates.scope import is_urgent
from dbre.core.text import counted, printable

if TYPE_CHECKING:
    from dbre.capabilities.slo.recent_statuses import RecentStatuses
    from dbre.core.clock import Clock
    from dbre.core.config import Config
    from dbre.core.fleet import Fleet
    from dbre.core.store import Store

__all__ = ["ERROR_BUDGET", "BudgetGate", "stored_budget_gate", "watched_definitions"]

ERROR_BUDGET = "error-budget"
_SHOWN = 20
_VERDICTS = {
    Consequence.ALLOW: GateVerdict.ALLOW,
    Consequence.REQUIRE_APPROVAL: GateVerdict.HOLD,
    Consequence.HOLD: GateVerdict.HOLD,
    Consequence.REFUSE: GateVerdict.REFUSE,
}


class BudgetGate:
    """Asks the policies about the SLOs on the target's cluster."""

    name = ERROR_BUDGET
    summary = "the error budgets of the target allow a change"
    asks_always = True

    def __init__(self, policies: Sequence[BudgetPolicy], statuses: "RecentStatuses", store: "Store | None") -> None:
        self._policies = tuple(policies)
        self._statuses = statuses
        self._store = store  # of approvals

    def fails_open(self, question: GateQuestion) -> bool:
        """For what reads or repairs, and for what no policy is about."""
        return is_urgent(question) or not policies_asked(self._policies, question)

    async def decide(self, question: GateQuestion) -> GateDecision:
        """The worst that a policy finds."""
        policies = policies_asked(self._policies, question)
        if not any(one.then is not Consequence.ALLOW for one in policies):
            return self._allow(f"no error-budget policy is about {question.planned.kind}")
        if question.cluster is None:
            return self._allow("the target is no cluster, so it has no SLOs")
        statuses = await self._statuses.of(question.cluster)
        watched = [one for one in statuses if any(policy.watches(one.name) for policy in policies)]
        found = findings_of(policies, question, watched)
        evidence = _evidence(policies, watched, found)
        if not found:
            what = counted(len(watched), "SLO") if watched else "no SLO"
            return self._allow(f"no policy objects: {what} on {printable(question.cluster)} looked at", evidence)
        if found[0].then is Consequence.REQUIRE_APPROVAL:
            return await self._approved(question, found, evidence)
        verb = "is refused" if found[0].then is Consequence.REFUSE else "waits"
        return self._decision(_VERDICTS[found[0].then], _sentence(question, verb, found), evidence)

    async def _approved(self, question: GateQuestion, found: Sequence[Finding], evidence: Mapping[str, object]) -> GateDecision:
        names = sorted(await consents(self._store, question))
        evidence = {**evidence, NEEDED: 1, "approved_by": names}
        if names:
            shown = printable(", ".join(names), limit=200)
            return self._decision(GateVerdict.ALLOW, f"approved by {shown}: {found[0].why}", evidence)
        return self._decision(GateVerdict.HOLD, _sentence(question, "needs an approval", found), evidence)

    def _allow(self, reason: str, evidence: Mapping[str, object] | None = None) -> GateDecision:
        return self._decision(GateVerdict.ALLOW, reason, evidence or {})

    def _decision(self, verdict: GateVerdict, reason: str, evidence: Mapping[str, object]) -> GateDecision:
        return GateDecision(gate=self.name, verdict=verdict, reason=reason, evidence=evidence)


def _sentence(question: GateQuestion, verb: str, found: Sequence[Finding]) -> str:
    target = printable(question.planned.plan.target, limit=120)
    more = f"; and {counted(len(found) - 1, 'more reason')}" if len(found) > 1 else ""
    return f"{question.planned.kind} on {target} {verb}: {found[0].why} (policy {found[0].policy}){more}"


def _evidence(
    policies: Sequence[BudgetPolicy], statuses: Sequence[SloStatus], found: Sequence[Finding]
) -> Mapping[str, object]:
    named = {one.slo for one in found}
    shown = sorted(statuses, key=lambda one: (one.id not in named, one.budget.remaining_ratio, one.id))
    return {
        "policies": [one.name for one in policies[:_SHOWN]],
        "slos_count": len(statuses),
        "slos": [_numbers(policies, one) for one in shown[:_SHOWN]],
        "findings": [{"policy": one.policy, "slo": one.slo, "then": one.then.value, "why": one.why} for one in found[:_SHOWN]],
    }


def _numbers(policies: Sequence[BudgetPolicy], status: SloStatus) -> Mapping[str, object]:
    burns = {
        condition.seconds: condition
        for policy in policies
        if policy.watches(status.name)
        for condition in policy.when
        if isinstance(condition, BurnAtLeast)
    }
    return {
        "slo": status.id,
        "remaining_ratio": float(status.budget.remaining_ratio),
        "remaining_exact": str(status.budget.remaining_ratio),
        "bad": status.bad,
        "total": status.total,
        "telemetry_state": status.telemetry.value,
        "alerts": [one.rule for one in status.active_alerts],
        "burn_rates": [
            {"window_seconds": seconds, "burn_rate": float(rate), "burn_rate_exact": str(rate)}
            for seconds, condition in sorted(burns.items())
            for rate in [condition.rate_of(status)]
        ],
        "window_end": status.at.end.isoformat(),
    }


def watched_definitions(config: "Config") -> tuple[Definition, ...]:
    """The SLOs of the configuration, with the windows that error-budget policies look at: what an engine is made of."""
    return watching(definitions_from(config.get(SLOS)), budget_policies(config.get(ERROR_BUDGET_POLICIES)))


def stored_budget_gate(store: "Store", config: "Config", fleet: "Fleet", clock: "Clock") -> BudgetGate:
    """The gate of any other process: it reads what the engine stores."""
    from dbre.capabilities.slo.recent_statuses import stored_statuses

    lost_after = config.get(ALERTING).telemetry_lost_after
    statuses = stored_statuses(store, watched_definitions(config), fleet, clock, lost_after=lost_after)
    return BudgetGate(budget_policies(config.get(ERROR_BUDGET_POLICIES)), statuses, store)
