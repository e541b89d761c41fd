"""Alerts about the budget itself: how little is left of it, and how soon it will be gone."""

from dataclasses import dataclass
from decimal import Decimal

from dbre.capabilities.slo.alert_rules import BudgetRule, RuleKind
from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.error_budget import Budget
from dbre.capabilities.slo.exhaustion import Exhaustion
from dbre.capabilities.slo.low_traffic_guard import exceeds_chance
from dbre.capabilities.slo.model import RuleStatus
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS

__all__ = ["KEEP_SECONDS", "BudgetView", "judge_budget"]

KEEP_SECONDS = 300
"""The value moves with each event: it must stay on the other side for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """What such rules look at."""

    budget: Budget
    exhaustion: Exhaustion
    pace: Counts  # of the time from which the present pace is taken
    units: int
    target: Decimal
    window_seconds: int
    has_guard: bool
    is_measured: bool  # whether there was any valid event in the window


def judge_budget(rule: BudgetRule, view: BudgetView, tracked: TrackedAlert, *, is_suppressed: bool) -> RuleStatus:
    """Where a rule stands. A pace that may be chance does not foretell anything."""
    if rule.kind is RuleKind.BUDGET:
        is_met, is_guarded = view.budget.remaining_ratio <= rule.threshold, False
    else:
        seconds = view.exhaustion.aged_seconds
        is_soon = seconds is not None and seconds <= rule.threshold
        allowed, units = allowed_ratio(view.target), view.units
        is_chance = view.has_guard and not exceeds_chance(view.pace.bad // units, view.pace.total // units, allowed=allowed)
        is_guarded = is_soon and is_chance and view.budget.remaining_ratio > 0
        is_met = is_soon and not is_guarded
    return RuleStatus(
        rule=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        state=tracked.state,
        since=tracked.since,
        fired_at=tracked.fired_at if tracked.is_active else None,
        alert_id=tracked.alert_id if tracked.is_active else None,
        threshold=rule.threshold,
        burn_rate=None,
        short_burn_rate=None,
        long_seconds=view.window_seconds,
        short_seconds=SLOT_SECONDS,
        for_seconds=0,
        keep_firing_seconds=KEEP_SECONDS,
        is_guarded=is_guarded,
        is_met=is_met if view.is_measured else None,
        is_suppressed=is_suppressed,
    )
