"""Burn-rate rules: two windows that must both burn, a guard against chance, and a check that a rule can fire at all."""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from dbre.capabilities.slo.burn_rate import burn_rate, spent_when_fired
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.errors import InvalidRule
from dbre.capabilities.slo.low_traffic_guard import exceeds_chance
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS
from dbre.core.units import format_duration

__all__ = [
    "SUSTAINED_FAILURES",
    "BudgetRule",
    "BurnRule",
    "Judgement",
    "RuleKind",
    "Severity",
    "check_reachable",
    "compact_duration",
    "default_rules",
    "judge",
    "largest_reachable",
]

SUSTAINED_FAILURES = 5
"""So many valid events in a row, all bad, are an outage and no chance, however little traffic there is."""


class Severity(StrEnum):
    """Whom an alert wakes."""

    PAGE = "page"  # a person, now
    TICKET = "ticket"  # a person, in working hours


class RuleKind(StrEnum):
    """What a rule watches."""

    BURN = "burn"
    BUDGET = "budget"  # how little is left
    EXHAUSTION = "exhaustion"  # how soon nothing will be left
    TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """Met while at most ``threshold`` of the budget is left, or while it will be gone within ``threshold`` seconds."""

    name: str
    kind: RuleKind
    severity: Severity
    threshold: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRule:
    """Fires while the budget burns faster than ``factor`` over the long *and* the short window (strictly)."""

    name: str
    severity: Severity
    factor: Fraction
    long_seconds: int
    short_seconds: int
    for_seconds: int = 0
    keep_firing_seconds: int = 0
    budget_part: Fraction | None = None  # written as a part of the budget: the factor follows the length of the period

    def over(self, period_seconds: int) -> "BurnRule":
        """The same rule for a period of that length; months differ."""
        if self.budget_part is None:
            return self
        return replace(self, factor=self.budget_part * period_seconds / self.long_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a rule says of one moment. ``is_met`` None: nothing was measured in the short window, so nobody can tell."""

    rule: BurnRule
    long: Counts
    short: Counts
    long_burn: Fraction  # with the denominator that the rule uses
    short_burn: Fraction
    is_guarded: bool  # both windows burn, but so few bad events may be chance: the rule does not fire
    is_met: bool | None


_DEFAULTS = (  # severity, part of the budget, long, short: SRE Workbook, ch. 5, table 5-8; the last row as Sloth has it
    (Severity.PAGE, Fraction(2, 100), 3_600, 300),
    (Severity.PAGE, Fraction(5, 100), 21_600, 1_800),
    (Severity.TICKET, Fraction(10, 100), 86_400, 7_200),
    (Severity.TICKET, Fraction(10, 100), 259_200, 21_600),
)
_WHOLE_WINDOWS_FROM = 7 * 86_400
_REFERENCE_PERIOD = 30 * 86_400
_SHORTEST_LONG = 60


@lru_cache(maxsize=512)
def default_rules(period_seconds: int) -> tuple[BurnRule, ...]:
    """The four rules of the SRE Workbook for a period: they fire when 2 %, 5 %, 10 % and 10 % of its budget are spent.

    For 30 days the factors are 14.4, 6, 3 and 1. From a week on the windows stay and the factors follow the period; below
    a week three days are no window any more, so the windows shrink with the period (not below a minute).

    >>> [str(rule.factor) for rule in default_rules(30 * 86_400)]
    ['72/5', '6', '3', '1']
    """
    rules = []
    for severity, part, whole_long, whole_short in _DEFAULTS:
        long_seconds, short_seconds = _fit(whole_long, whole_short, period_seconds)
        rules.append(
            BurnRule(
                name=f"{severity}-{compact_duration(long_seconds)}",
                severity=severity,
                factor=part * period_seconds / long_seconds,
                long_seconds=long_seconds,
                short_seconds=short_seconds,
                keep_firing_seconds=short_seconds,
            )
        )
    return _one_per_name(rules)


def _fit(long_seconds: int, short_seconds: int, period_seconds: int) -> tuple[int, int]:
    """Windows for a period; a day of 23 or 25 h has those of a whole day, so that rules keep their names over the year."""
    nominal = (period_seconds + 43_200) // 86_400 * 86_400 or period_seconds
    if nominal >= _WHOLE_WINDOWS_FROM:
        return long_seconds, short_seconds
    shrunk = max(_whole_slots(long_seconds * nominal // _REFERENCE_PERIOD), _SHORTEST_LONG)
    return min(shrunk, _whole_slots(period_seconds)), max(_whole_slots(shrunk // 12), SLOT_SECONDS)


def compact_duration(seconds: int) -> str:
    """A duration as part of a name: exact, without spaces.

    >>> compact_duration(5400)
    '1h30m'
    """
    words = ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        words += f"{count}{unit}" if count else ""
    return words


def _whole_slots(seconds: int) -> int:
    return seconds // SLOT_SECONDS * SLOT_SECONDS


def _one_per_name(rules: list[BurnRule]) -> tuple[BurnRule, ...]:
    """In a very short period two rules shrink to the same minute: the more sensitive one is left."""
    kept: dict[str, BurnRule] = {}
    for rule in rules:
        if rule.name not in kept or rule.factor < kept[rule.name].factor:
            kept[rule.name] = rule
    return tuple(kept.values())


def largest_reachable(*, target: Decimal) -> Decimal:
    """The largest factor, with two decimals, that errors can exceed: total outage burns at ``1 / (1 - target)``.

    >>> largest_reachable(target=Decimal("0.9"))
    Decimal('9.99')
    """
    limit = 1 / allowed_ratio(target)
    hundredths = limit.numerator * 100 // limit.denominator
    return Decimal(hundredths - (Fraction(hundredths, 100) == limit)).scaleb(-2)


def check_reachable(rule: BurnRule, *, target: Decimal, period_seconds: int) -> None:
    """Refuse a rule that not even a total outage would fire.

    Raises: InvalidRule where ``factor * (1 - target) >= 1``, with the largest factor that can be reached.
    """
    if rule.factor * allowed_ratio(target) < 1:
        return
    largest = largest_reachable(target=target)
    part = spent_when_fired(Fraction(largest), long_seconds=rule.long_seconds, period_seconds=period_seconds)
    raise InvalidRule(
        f"rule {rule.name} can never fire: with a target of {(target * 100).normalize():f} % a total outage burns"
        f" {float(1 / allowed_ratio(target)):.6g} times too fast, and the rule waits for more than {float(rule.factor):.6g}",
        hint=f"the largest reachable factor is {largest:f}, or budget {float(part) * 100:.3g}% in"
        f" {format_duration(rule.long_seconds)}: write rules of your own under `alerts` of this SLO",
        context={"rule": rule.name, "factor": float(rule.factor), "largest_reachable_factor": float(largest)},
    )


def judge(
    rule: BurnRule,
    *,
    long: Counts,
    short: Counts,
    target: Decimal,
    scheduled_long: Fraction,
    trailing_bad: int,
    has_guard: bool = True,
    sustained_failures: int = SUSTAINED_FAILURES,
    units: int = 1,
    whole_budget: Fraction | None = None,
) -> Judgement:
    """Decide one rule at one moment.

    *Warm-up*: moments of the long window for which there is no observation at all (the service is new, the control plane
    was down) count in its denominator as if nothing bad had happened, so that the first failures of a short history do
    not look like a ruined hour. Probes that were missed or excluded do not count: somebody looked, and cannot tell.

    *Guard*: the bad events of the long window must be more than chance gives, or the last ``sustained_failures`` valid
    events must all be bad, or the long window alone must have spent the whole budget (``whole_budget`` bad events): of a
    service with few events chance never gives proof, and what is gone is gone. ``units`` are those of one event.
    """
    unseen = max(scheduled_long - long.observed, Fraction(0))
    allowed = allowed_ratio(target)
    valid = long.total + unseen
    long_burn = long.bad / valid / allowed if valid else Fraction(0)
    short_burn = burn_rate(short.bad, short.total, target=target)
    burns = long_burn > rule.factor and short_burn > rule.factor
    is_chance = (
        has_guard
        and not exceeds_chance(long.bad // units, long.total // units, allowed=allowed)
        and not trailing_bad >= sustained_failures > 0
        and not (whole_budget is not None and long.bad >= max(whole_budget, Fraction(sustained_failures)) > 0)
    )
    return Judgement(
        rule=rule,
        long=long,
        short=short,
        long_burn=long_burn,
        short_burn=short_burn,
        is_guarded=burns and is_chance,
        is_met=(burns and not is_chance) if short.total else None,
    )
