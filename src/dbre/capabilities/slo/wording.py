"""What an alert says to a person: one line, numbers with units, the limit beside the value."""

from dbre.capabilities.slo.alert_state import Transition
from dbre.capabilities.slo.model import RuleKind, RuleStatus, SloStatus
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["alert_summary", "burn_text", "removed_summary"]


def burn_text(rate: float) -> str:
    """A burn rate for people.

    >>> burn_text(14.4), burn_text(1000.0)
    ('14.4 times', '1000 times')
    """
    return f"{rate:.1f} times" if rate < 100 else f"{rate:.0f} times"


def alert_summary(status: SloStatus, rule: RuleStatus, transition: Transition) -> str:
    """The line that stands in a page, a ticket, a chat."""
    name = f"{status.name} on {printable(status.cluster, limit=120)}"
    left = f"{format_percent(float(status.budget.remaining_ratio), digits=1)} of the error budget is left"
    if transition is Transition.RESOLVED:
        return f"{name}: {rule.rule} is over; {left}"
    if rule.kind is RuleKind.TELEMETRY:
        return (
            f"{name}: no valid measurement for more than {format_duration(float(rule.threshold))};"
            f" nobody can say whether {status.sli}"
        )
    if rule.kind is RuleKind.BUDGET:
        return f"{name}: {left} (limit {format_percent(float(rule.threshold), digits=1)})"
    if rule.kind is RuleKind.EXHAUSTION:
        seconds = status.exhaustion.aged_seconds
        when = "is gone" if not seconds else f"will be gone in {format_duration(float(seconds))} at the present pace"
        return f"{name}: the error budget {when} (limit {format_duration(float(rule.threshold))}); {left}"
    windows = f"{format_duration(rule.long_seconds)} and {format_duration(rule.short_seconds)}"
    rate, limit = burn_text(float(rule.burn_rate or 0)), burn_text(float(rule.threshold))
    return f"{name}: the error budget burns {rate} as fast as it may over {windows} (limit {limit}); {left}"


def removed_summary(name: str, cluster: str, rule: str) -> str:
    """The line that ends an alert whose rule no longer exists."""
    return f"{name} on {printable(cluster, limit=120)}: {rule} ended, because it is no longer defined"
