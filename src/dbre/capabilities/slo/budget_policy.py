"""What an error budget, its burn rate and its alerts do to changes. Pure: states in, findings out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.error_budget import scheduled_events
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.core.errors import UsageError
from dbre.core.gates.model import GateQuestion, Moment
from dbre.core.gates.scope import Scope, is_urgent, matches_any
from dbre.core.units import format_duration, format_percent

__all__ = [
    "AlertFires",
    "BudgetAtMost",
    "BudgetPolicy",
    "BurnAtLeast",
    "Condition",
    "Consequence",
    "Finding",
    "findings_of",
    "policies_asked",
    "watching",
]


class Consequence(StrEnum):
    """What a policy does to an operation, the mildest first; of several the last counts."""

    ALLOW = "allow"
    REQUIRE_APPROVAL = "require_approval"
    HOLD = "hold"
    REFUSE = "refuse"

    @property
    def weight(self) -> int:
        """0 for allow to 3 for refuse."""
        return list(Consequence).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAtMost:
    """So little of the budget is left; exactly that much is little enough."""

    remaining: Fraction

    def met(self, status: SloStatus) -> str | None:
        """What is the case, with numbers; None where the condition is not met."""
        left = status.budget.remaining_ratio
        if left > self.remaining:
            return None
        return f"{_percent(left)} of the error budget of {status.id} is left, the limit is {_percent(self.remaining)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnAtLeast:
    """The budget is spent so fast over a window; moments that nobody observed count as if nothing bad had happened."""

    rate: Fraction
    seconds: int

    def met(self, status: SloStatus) -> str | None:
        """What is the case, with numbers; None where the condition is not met. Raises: UsageError for an unread window."""
        burn = self.rate_of(status)
        if burn < self.rate:
            return None
        return (
            f"the error budget of {status.id} burns {float(burn):.1f} times as fast as it may over"
            f" {format_duration(self.seconds)}, the limit is {float(self.rate):g}"
        )

    def rate_of(self, status: SloStatus) -> Fraction:
        """The burn rate, exact."""
        reading = next((one for one in status.burn_rates if one.window_seconds == self.seconds), None)
        if reading is None:
            raise UsageError(f"the burn rate of {status.id} over {format_duration(self.seconds)} is not read")
        return self.rate_in(reading.counts, target=status.objective, interval_ms=round(status.interval_seconds * 1000))

    def rate_in(self, counts: Counts, *, target: Decimal, interval_ms: int) -> Fraction:
        """The burn rate of what the window holds, exact."""
        scheduled = scheduled_events(self.seconds, interval_ms=interval_ms)
        valid = counts.total + max(scheduled - counts.observed, Fraction(0))
        return counts.bad / valid / allowed_ratio(target) if valid else Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFires:
    """An alert of that severity is active; tickets include pages."""

    severity: Severity

    def met(self, status: SloStatus) -> str | None:
        """What is the case; None where the condition is not met."""
        wanted = {Severity.PAGE, self.severity}
        found = next((one for one in status.active_alerts if one.severity in wanted), None)
        if found is None:
            return None
        since = f" since {found.fired_at:%Y-%m-%d %H:%MZ}" if found.fired_at else ""
        return f"alert {found.rule} of {status.id} fires{since}"


Condition = BudgetAtMost | BurnAtLeast | AlertFires


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """What happens to which operations when one of the conditions is met by one of the SLOs on their cluster."""

    name: str
    scope: Scope
    when: tuple[Condition, ...]  # none, with ALLOW only: always
    then: Consequence
    slos: tuple[str, ...] = ("*",)
    is_for_start_only: bool = False
    telemetry_lost: Consequence = Consequence.HOLD

    def asked(self, question: GateQuestion) -> bool:
        """Whether the policy is about this question."""
        return self.scope.covers(question) and (question.moment is Moment.START or not self.is_for_start_only)

    def watches(self, slo: str) -> bool:
        """Whether the policy looks at an SLO of that name."""
        return matches_any(slo, self.slos)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One policy that one SLO makes speak."""

    policy: str
    slo: str
    then: Consequence
    why: str


def policies_asked(policies: Sequence[BudgetPolicy], question: GateQuestion) -> tuple[BudgetPolicy, ...]:
    """The policies that are about a question, in their order; nothing after one that allows everything it covers."""
    asked: list[BudgetPolicy] = []
    for policy in policies:
        if policy.asked(question):
            asked.append(policy)
            if policy.then is Consequence.ALLOW and not policy.when:
                break
    return tuple(asked)


def findings_of(policies: Sequence[BudgetPolicy], question: GateQuestion, statuses: Sequence[SloStatus]) -> tuple[Finding, ...]:
    """What the policies find, the worst first.

    A policy that allows, and one of whose conditions is met, ends the look: those after it are not asked.
    """
    found: list[Finding] = []
    for policy in policies:
        watched = [one for one in statuses if policy.watches(one.name)]
        met = [
            Finding(policy=policy.name, slo=status.id, then=policy.then, why=why)
            for status in watched
            for condition in policy.when
            if (why := condition.met(status)) is not None
        ]
        if policy.then is Consequence.ALLOW:
            if met or not policy.when:
                break
            continue
        found += met + [_lost(policy, status, question) for status in watched if status.telemetry is _LOST]
    return tuple(sorted((one for one in found if one.then is not Consequence.ALLOW), key=lambda one: -one.then.weight))


_LOST = TelemetryState.TELEMETRY_LOST


def _lost(policy: BudgetPolicy, status: SloStatus, question: GateQuestion) -> Finding:
    """Nobody knows what is left: what repairs goes on, everything else does as the policy says."""
    then = Consequence.ALLOW if is_urgent(question) else policy.telemetry_lost
    why = f"telemetry of {status.id} is lost, so nobody knows what is left of its error budget"
    return Finding(policy=policy.name, slo=status.id, then=then, why=why)


def watching(definitions: Sequence[Definition], policies: Sequence[BudgetPolicy]) -> tuple[Definition, ...]:
    """The definitions with the windows that policies look at, so that their burn rates are read."""
    return tuple(
        replace(one, watched_seconds=tuple(sorted(seconds))) if (seconds := _windows(one.name, policies)) else one
        for one in definitions
    )


def _windows(slo: str, policies: Sequence[BudgetPolicy]) -> set[int]:
    return {
        condition.seconds
        for policy in policies
        if policy.watches(slo)
        for condition in policy.when
        if isinstance(condition, BurnAtLeast)
    }


def _percent(ratio: Fraction) -> str:
    return format_percent(float(ratio))
