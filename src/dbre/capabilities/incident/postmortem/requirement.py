"""When a postmortem is required: the rules of the error-budget policy, with the reasons in words."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident, TimelineEntry

__all__ = ["is_manual_failover", "reasons_for_postmortem"]

_FAILOVERS = ("ha.failover", "ha.switchover")
_SYSTEM = ("dbre", "")


def is_manual_failover(line: TimelineEntry) -> bool:
    """Whether a line tells that a person moved the primary."""
    return (
        line.kind.value == "operation"
        and any(f"operation {kind} " in line.text for kind in _FAILOVERS)
        and line.actor not in _SYSTEM
    )


def reasons_for_postmortem(
    incident: Incident,
    costs: Sequence[Spent],
    timeline: Sequence[TimelineEntry],
    *,
    budget_share: Decimal,
    severities: Collection[str],
) -> list[str]:
    """Why one is required; empty: it is not.

    Source: SRE Workbook, appendix "Example Error Budget Policy": one incident that spends more than 20 % of a budget.
    """
    limit = Fraction(budget_share)
    reasons = [
        f"it spent {float(one.consumed):.1%} of the budget of {one.instance}; the limit is {float(limit):.1%}"
        for one in costs
        if one.consumed is not None and one.consumed > limit
    ]
    if incident.severity.value in severities:
        reasons.append(f"it is a {incident.severity.value}")
    if incident.has_data_loss:
        reasons.append("data was lost")
    if any(is_manual_failover(line) for line in timeline):
        reasons.append("a person failed over")
    return reasons
