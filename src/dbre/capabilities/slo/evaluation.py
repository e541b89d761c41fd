"""From the state of an SLO instance to the changes of its alerts. Pure."""

from collections.abc import Callable
from datetime import datetime

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.alert_state import AlertState, TrackedAlert, Transition, advance
from dbre.capabilities.slo.model import AlertChange, AlertKey, AlertRecord, RuleKind, RuleStatus, SloStatus
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.capabilities.slo.wording import alert_summary, removed_summary

__all__ = ["changes_of", "removals"]

_NOT_TRACKED = TrackedAlert()


def changes_of(status: SloStatus, now: datetime, *, new_id: Callable[[], str]) -> list[AlertChange]:
    """Every alert of the instance that moves to another state at this moment.

    Pages are decided first, because an active page holds back the tickets of its instance: whoever is paged need not be
    told in working hours as well. A ticket that is held back waits in pending, and fires if its condition outlives the page.

    The page rules of an instance watch one thing over several windows, so that one outage meets them one after the other.
    It is one page: the first to fire covers the others, and is over when no condition of any of them is met.
    """
    changes = []
    has_page = any(one.severity is Severity.PAGE for one in status.active_alerts)
    has_burn_page = any(_is_burn_page(one) for one in status.active_alerts)
    is_burning = any(one.is_met for one in status.alerts if _is_burn_page(one))
    for rule in sorted(status.alerts, key=lambda one: one.severity is not Severity.PAGE):
        tracked = TrackedAlert(state=rule.state, since=rule.since, fired_at=rule.fired_at, alert_id=rule.alert_id)
        following, transition = advance(
            tracked,
            is_met=True if _is_burn_page(rule) and tracked.is_active and is_burning else rule.is_met,
            now=now,
            for_seconds=rule.for_seconds,
            keep_firing_seconds=rule.keep_firing_seconds,
            is_suppressed=has_burn_page if _is_burn_page(rule) else rule.severity is Severity.TICKET and has_page,
        )
        if following == tracked:
            continue
        if transition is Transition.FIRED:
            following = following.named(new_id())
            has_page = has_page or rule.severity is Severity.PAGE
            has_burn_page = has_burn_page or _is_burn_page(rule)
        record = None if transition is None else _record(status, rule, following, transition, now)
        changes.append(
            AlertChange(
                key=AlertKey(slo=status.name, cluster=status.cluster, rule=rule.rule, group=status.group),
                tracked=following,
                transition=transition,
                record=record,
            )
        )
    return changes


def _is_burn_page(rule: RuleStatus) -> bool:
    return rule.kind is RuleKind.BURN and rule.severity is Severity.PAGE


def _record(status: SloStatus, rule: RuleStatus, tracked: TrackedAlert, transition: Transition, now: datetime) -> AlertRecord:
    return AlertRecord(
        alert_id=tracked.alert_id or "",
        sequence=0,
        slo=status.name,
        cluster=status.cluster,
        rule=rule.rule,
        severity=rule.severity,
        fired_at=tracked.fired_at or now,
        resolved_at=now if transition is Transition.RESOLVED else None,
        burn_rate=None if rule.burn_rate is None else float(rule.burn_rate),
        threshold=float(rule.threshold),
        budget_remaining_ratio=float(status.budget.remaining_ratio),
        window_seconds=int(rule.threshold) if rule.kind is RuleKind.TELEMETRY else rule.long_seconds,
        telemetry_state=status.telemetry,
        summary=alert_summary(status, rule, transition),
        group=status.group,
    )


def removals(
    tracked: dict[AlertKey, TrackedAlert], *, defined: set[AlertKey], known: dict[str, AlertRecord], now: datetime
) -> list[AlertChange]:
    """The end of every alert whose SLO, cluster or rule is gone from the configuration: nothing else would ever end it.

    ``known`` are the stored alerts by id; an alert of which somebody was told is resolved with an event.
    """
    changes = []
    for key, one in tracked.items():
        if key in defined:
            continue
        record = known.get(one.alert_id or "")
        ended = None
        if record is not None and one.is_active:
            ended = AlertRecord(
                alert_id=record.alert_id,
                sequence=0,
                slo=record.slo,
                cluster=record.cluster,
                rule=record.rule,
                severity=record.severity,
                fired_at=record.fired_at,
                resolved_at=now,
                burn_rate=None,
                threshold=record.threshold,
                budget_remaining_ratio=record.budget_remaining_ratio,
                window_seconds=record.window_seconds,
                telemetry_state=TelemetryState.NO_TRAFFIC,
                summary=removed_summary(record.slo, record.cluster, record.rule),
                group=record.group,
            )
        changes.append(
            AlertChange(
                key=key,
                tracked=TrackedAlert(state=AlertState.INACTIVE, since=now),
                transition=None if ended is None else Transition.RESOLVED,
                record=ended,
            )
        )
    return changes
