"""The same history under other promises: targets, windows, rules, with and without the guard against chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from dbre.capabilities.slo.alert_rules import BurnRule, Severity, check_reachable
from dbre.capabilities.slo.budget_policy import BudgetPolicy
from dbre.capabilities.slo.correction import Interval
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.documents import RuleDocument
from dbre.capabilities.slo.errors import InvalidRule, InvalidWindow
from dbre.capabilities.slo.objective import check_target
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries
from dbre.capabilities.slo.simulation.policy_replay import PolicyReplay, replay_policies
from dbre.capabilities.slo.simulation.replay import Replay, ReplayedAlert, replay
from dbre.capabilities.slo.window import RollingWindow, Window
from dbre.core.units import format_duration, parse_duration, parse_ratio

__all__ = ["Outcome", "Variant", "read_rule", "read_target", "read_window", "simulate", "variants_of"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to promise; ``is_configured``: as it is now."""

    definition: Definition
    is_configured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one variant would have done."""

    variant: Variant
    replayed: Replay
    chance_pages: tuple[ReplayedAlert, ...]
    """Pages that the rules alone would have sent, and that the guard holds back as chance."""
    policies: tuple[PolicyReplay, ...] = ()
    """What the error-budget policies that were asked about would have done."""


def read_target(text: str) -> Decimal:
    """A target as files have it: 99.9% or 0.999. Raises: UsageError."""
    return check_target(parse_ratio(text))


def read_window(text: str) -> RollingWindow:
    """A rolling window: 30d. Raises: UsageError."""
    length = parse_duration(text)
    seconds = int(length.total_seconds())
    if seconds % SLOT_SECONDS or not 60 <= seconds <= 400 * 86_400:
        raise InvalidWindow(f"{text} is no window: from 1m to 400d, in slots of 10 s", hint="write 7d, 28d, 30d")
    return RollingWindow(seconds=seconds)


def read_rule(text: str) -> BurnRule:
    """A rule in one word, ``SEVERITY:LIMIT:LONG[:SHORT]``; the limit is a part of the budget or a factor.

    >>> read_rule("page:2%:1h:5m").name
    'page-1h'

    Raises: UsageError.
    """
    parts = text.split(":")
    if len(parts) not in (3, 4) or parts[0] not in tuple(Severity):
        raise InvalidRule(f"{text!r} is no rule", hint="write page:2%:1h:5m, or ticket:3:1d:2h")
    severity, limit, long, *short = parts
    given: dict[str, object] = {"severity": severity, "long": long, **({"short": short[0]} if short else {})}
    given |= {"budget": limit} if limit.endswith("%") else {"factor": limit}
    try:
        return RuleDocument.model_validate(given).rule()
    except ValueError as error:  # of pydantic; ours are raised as they are
        raise InvalidRule(f"{text!r} is no rule", hint="write page:2%:1h:5m, or ticket:3:1d:2h") from error


def variants_of(
    definition: Definition, *, targets: Sequence[Decimal], windows: Sequence[Window], rules: Sequence[BurnRule]
) -> list[Variant]:
    """The definition as it is, and every combination of what else is asked for.

    Raises: InvalidRule for rules that cannot fire.
    """
    found = [Variant(definition, is_configured=True)]
    for target in targets or (definition.target,):
        for window in windows or (definition.window,):
            other = replace(definition, target=target, window=window, rules=tuple(rules) or definition.rules)
            if other != definition:
                _check(other)
                found.append(Variant(other, is_configured=False))
    return found


def _check(definition: Definition) -> None:
    period = definition.window.longest_seconds
    for rule in definition.rules_for(period):
        if rule.long_seconds > period:
            raise InvalidRule(
                f"rule {rule.name} looks back over {format_duration(rule.long_seconds)}, and the window lasts"
                f" {format_duration(period)}",
                hint="give a longer window, or rules of your own with --rule",
            )
        check_reachable(rule, target=definition.target, period_seconds=period)


def simulate(
    variant: Variant,
    instance: SloInstance,
    series: SlotSeries,
    *,
    start: int,
    end: int,
    interval_ms: int,
    policies: Sequence[BudgetPolicy] = (),
    corrected: tuple[Interval, ...] = (),
) -> Outcome:
    """Replay a history with the guard and without, and what policies would have done; ``corrected`` slots do not count."""
    one, series = replace(instance, definition=variant.definition), series.without(corrected) if corrected else series
    replayed = replay(one, series, start=start, end=end, interval_ms=interval_ms, corrected=corrected)
    unguarded_policies = replace(variant.definition.policies, has_low_traffic_guard=False)
    plain = replace(one, definition=replace(variant.definition, policies=unguarded_policies))
    unguarded = replay(plain, series, start=start, end=end, interval_ms=interval_ms, is_silent=True, corrected=corrected)
    burning = [page for page in replayed.pages if page.errors_since is not None]  # not those that tell of the budget
    chance = tuple(page for page in unguarded.pages if not any(_overlap(page, real) for real in burning))
    stopped = replay_policies(policies, one, series, replayed, interval_ms=interval_ms) if policies else ()
    return Outcome(variant=variant, replayed=replayed, chance_pages=chance, policies=stopped)


def _overlap(one: ReplayedAlert, other: ReplayedAlert) -> bool:
    """Whether two alerts were active at one time."""
    return (other.resolved_at is None or one.fired_at <= other.resolved_at) and (
        one.resolved_at is None or other.fired_at <= one.resolved_at
    )
