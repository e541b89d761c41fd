"""The state of one SLO instance from its slots: pure, the same for the running engine and for a command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import SUSTAINED_FAILURES, BurnRule, Judgement, Severity, judge
from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.burn_rate import burn_rate
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import NoDataPolicy, SloInstance
from dbre.capabilities.slo.error_budget import error_budget, scheduled_events
from dbre.capabilities.slo.exhaustion import time_to_exhaustion
from dbre.capabilities.slo.model import BurnReading, RuleKind, RuleStatus, SloStatus
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.telemetry_state import PAGE_AFTER_TIMES, TelemetryState, telemetry_state
from dbre.capabilities.slo.window import span

__all__ = ["Measured", "assess", "longest_look_back", "rules_now"]

_TRACKED_NOTHING = TrackedAlert()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that is known of one SLO instance at one moment."""

    instance: SloInstance
    series: SlotSeries  # by the wall clock: budgets and calendars
    recent: SlotSeries  # by elapsed time: alerts; the same object unless the wall clock stepped
    interval_ms: int
    silent_seconds: float  # since the newest valid event, or since we began to look
    lost_after_seconds: float
    tracked: Mapping[str, TrackedAlert] = field(default_factory=dict)  # by rule
    corrupt_slots: int = 0
    definition_since: datetime | None = None


def longest_look_back(instance: SloInstance) -> int:
    """How many seconds of slots an instance needs: its window, or the longest window of its rules."""
    period = instance.definition.window.longest_seconds
    return max([period, *(rule.long_seconds for rule in instance.definition.rules_for(period))])


def _trailing_bad(measured: Measured, now: datetime, seconds: int) -> int:
    end = slot_at(now) + 1
    return measured.recent.trailing_bad(end - seconds // SLOT_SECONDS, end)


def _judgements(measured: Measured, now: datetime, rules: tuple[BurnRule, ...]) -> list[Judgement]:
    end, definition = slot_at(now) + 1, measured.instance.definition
    return [
        judge(
            rule,
            long=measured.recent.window(end - rule.long_seconds // SLOT_SECONDS, end),
            short=measured.recent.window(end - rule.short_seconds // SLOT_SECONDS, end),
            target=definition.target,
            scheduled_long=scheduled_events(rule.long_seconds, interval_ms=measured.interval_ms),
            trailing_bad=_trailing_bad(measured, now, rule.long_seconds),
            has_guard=definition.policies.has_low_traffic_guard,
            sustained_failures=definition.policies.sustained_failures,
        )
        for rule in rules
    ]


def _recent(measured: Measured, now: datetime) -> Counts:
    end = slot_at(now) + 1
    return measured.recent.window(end - max(int(measured.lost_after_seconds) // SLOT_SECONDS, 1), end)


def _telemetry(measured: Measured, now: datetime) -> TelemetryState:
    seconds = max(int(measured.lost_after_seconds), SLOT_SECONDS)
    return telemetry_state(
        _recent(measured, now),
        trailing_bad=_trailing_bad(measured, now, seconds + PAGE_AFTER_TIMES * measured.interval_ms // 1000),
        silent_seconds=measured.silent_seconds,
        lost_after_seconds=measured.lost_after_seconds,
        has_source=measured.instance.has_source,
        sustained_failures=measured.instance.definition.policies.sustained_failures or SUSTAINED_FAILURES,
    )


def rules_now(measured: Measured, now: datetime) -> tuple[RuleStatus, ...]:
    """Every rule of an instance with its condition now; states are those of ``measured.tracked``."""
    definition = measured.instance.definition
    rules = definition.rules_for(span(definition.window, now).seconds)
    burning = [_burn_status(one, measured) for one in _judgements(measured, now, rules)]
    return (*burning, *_telemetry_statuses(measured, now))


def _burn_status(judgement: Judgement, measured: Measured) -> RuleStatus:
    rule, tracked = judgement.rule, measured.tracked.get(judgement.rule.name, _TRACKED_NOTHING)
    return RuleStatus(
        rule=rule.name,
        kind=RuleKind.BURN,
        severity=rule.severity,
        state=tracked.state,
        since=tracked.since,
        fired_at=tracked.fired_at if tracked.is_active else None,
        alert_id=tracked.alert_id if tracked.is_active else None,
        threshold=rule.factor,
        burn_rate=judgement.long_burn,
        short_burn_rate=judgement.short_burn if judgement.short.total else None,
        long_seconds=rule.long_seconds,
        short_seconds=rule.short_seconds,
        for_seconds=rule.for_seconds,
        keep_firing_seconds=rule.keep_firing_seconds,
        is_guarded=judgement.is_guarded,
        is_met=judgement.is_met,
        is_suppressed=_has_page(measured) if rule.severity is Severity.TICKET else _is_covered(tracked, measured),
    )


def _has_page(measured: Measured) -> bool:
    """Whether a page of this instance is active: rule names do not tell, so the rules are looked up."""
    return _has_burn_page(measured) or measured.tracked.get("telemetry-page", _TRACKED_NOTHING).is_active


def _has_burn_page(measured: Measured) -> bool:
    definition = measured.instance.definition
    pages = {rule.name for rule in definition.rules_for(definition.window.longest_seconds) if rule.severity is Severity.PAGE}
    return any(tracked.is_active and name in pages for name, tracked in measured.tracked.items())


def _is_covered(page: TrackedAlert, measured: Measured) -> bool:
    """Whether another page of the instance fires already for what this one would fire for."""
    return not page.is_active and _has_burn_page(measured)


def _is_lost(measured: Measured, now: datetime, limit: float) -> bool | None:
    """Whether sight is lost for so long; None after a start, until a valid event or the limit decides."""
    if not measured.instance.has_source:
        return False
    if measured.silent_seconds >= limit:
        return True
    return False if _recent(measured, now).total else None


def _telemetry_statuses(measured: Measured, now: datetime) -> list[RuleStatus]:
    policy = measured.instance.definition.policies.no_data
    limits = [("telemetry-ticket", Severity.TICKET, measured.lost_after_seconds)]
    if policy is NoDataPolicy.ALERT:
        limits.append(("telemetry-page", Severity.PAGE, measured.lost_after_seconds * PAGE_AFTER_TIMES))
    statuses = []
    for name, severity, limit in limits if policy is not NoDataPolicy.IGNORE else ():
        tracked = measured.tracked.get(name, _TRACKED_NOTHING)
        statuses.append(
            RuleStatus(
                rule=name,
                kind=RuleKind.TELEMETRY,
                severity=severity,
                state=tracked.state,
                since=tracked.since,
                fired_at=tracked.fired_at if tracked.is_active else None,
                alert_id=tracked.alert_id if tracked.is_active else None,
                threshold=Fraction(limit),
                burn_rate=None,
                short_burn_rate=None,
                long_seconds=int(limit),
                short_seconds=SLOT_SECONDS,
                for_seconds=0,
                keep_firing_seconds=SLOT_SECONDS,
                is_guarded=False,
                is_met=_is_lost(measured, now, limit),
                is_suppressed=severity is Severity.TICKET and _has_page(measured),
            )
        )
    return statuses


def assess(measured: Measured, now: datetime) -> SloStatus:
    """The state of one SLO instance at one moment."""
    definition = measured.instance.definition
    at = span(definition.window, now)
    counts = measured.series.window(at.start_slot, at.seen_slot)
    budget = error_budget(counts, target=definition.target, window_seconds=at.seconds, interval_ms=measured.interval_ms)
    alerts = rules_now(measured, now)
    readings = _readings(measured, now)
    hour = measured.recent.window(slot_at(now) + 1 - _pace_seconds(at.seconds) // SLOT_SECONDS, slot_at(now) + 1)
    first = measured.series.first
    return SloStatus(
        name=definition.name,
        cluster=measured.instance.cluster.name,
        description=definition.description,
        sli=definition.sli,
        objective=definition.target,
        window=definition.window,
        at=at,
        counts=counts,
        budget=budget,
        burn_rates=readings,
        alerts=alerts,
        telemetry=_telemetry(measured, now),
        exhaustion=time_to_exhaustion(
            budget,
            measured.series,
            window=definition.window,
            at=at,
            bad_per_second=Fraction(hour.bad, _pace_seconds(at.seconds)),
        ),
        corrupt_slots=measured.corrupt_slots,
        measured_since=slot_start(max(first, at.start_slot)) if first is not None else None,
        definition_since=measured.definition_since,
        interval_seconds=measured.interval_ms / 1000,
    )


def _pace_seconds(window_seconds: int) -> int:
    """Over how long the present rate of bad events is taken: an hour, or the whole window where it is shorter."""
    return min(3_600, window_seconds)


def _readings(measured: Measured, now: datetime) -> tuple[BurnReading, ...]:
    definition, end = measured.instance.definition, slot_at(now) + 1
    lengths = {
        length
        for rule in definition.rules_for(span(definition.window, now).seconds)
        for length in (rule.long_seconds, rule.short_seconds)
    }
    readings = []
    for length in sorted(lengths):
        counts = measured.recent.window(end - length // SLOT_SECONDS, end)
        rate = burn_rate(counts.bad, counts.total, target=definition.target) if counts.total else None
        readings.append(BurnReading(window_seconds=length, counts=counts, rate=rate))
    return tuple(readings)
