"""The state of one SLO instance from its slots: pure, the same for the running engine and for a command."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import SUSTAINED_FAILURES, BurnRule, Judgement, Severity, judge
from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.budget_rules import BudgetView, judge_budget
from dbre.capabilities.slo.burn_rate import burn_rate
from dbre.capabilities.slo.correction import Interval
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import NoDataPolicy, SloInstance
from dbre.capabilities.slo.error_budget import Budget, error_budget, scheduled_events
from dbre.capabilities.slo.exhaustion import Exhaustion, time_to_exhaustion
from dbre.capabilities.slo.model import BurnReading, RuleKind, RuleStatus, SloStatus, VersionPart
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.telemetry_state import PAGE_AFTER_TIMES, TelemetryState, telemetry_state
from dbre.capabilities.slo.versions import Version
from dbre.capabilities.slo.window import WindowSpan, span

__all__ = ["Measured", "assess", "budget_of", "rules_now"]

_TRACKED_NOTHING = TrackedAlert()
_PACE_SLOTS = 3_600 // SLOT_SECONDS


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
    earlier: tuple[Version, ...] = ()  # what the SLO promised before, the oldest first
    since_slot: int | None = None  # when its first version took effect
    is_heard: bool = False  # the source is known to be alive, though it may have had nothing to count

    raw: SlotSeries | None = None  # with what corrections leave out; None: the same
    raw_recent: SlotSeries | None = None
    corrected: tuple[Interval, ...] = ()
    judged: SliceSeries | None = None  # where slices of time count, not events
    judged_recent: SliceSeries | None = None

    @property
    def budget_series(self) -> SlotSeries | SliceSeries:
        """What budgets are counted from."""
        return self.series if self.judged is None else self.judged

    @property
    def alert_series(self) -> SlotSeries | SliceSeries:
        """What alerts are decided from."""
        return self.recent if self.judged_recent is None else self.judged_recent

    @property
    def units(self) -> int:
        """What one slice, or one event, is worth in these series."""
        slices = self.instance.definition.slices
        return 1 if slices is None else slices.units


def _trailing_bad(measured: Measured, now: datetime, seconds: int) -> int:
    end = slot_at(now) + 1
    return measured.recent.trailing_bad(end - seconds // SLOT_SECONDS, end)


def _judgements(measured: Measured, now: datetime, rules: tuple[BurnRule, ...], at: WindowSpan) -> list[Judgement]:
    end, definition, series = slot_at(now) + 1, measured.instance.definition, measured.alert_series
    whole_budget = allowed_ratio(definition.target) * _expected(measured, at.start_slot, at.end_slot, at.seen_slot)
    return [
        judge(
            rule,
            long=series.window(end - rule.long_seconds // SLOT_SECONDS, end),
            short=series.window(end - rule.short_seconds // SLOT_SECONDS, end),
            target=definition.target,
            scheduled_long=_expected(measured, end - rule.long_seconds // SLOT_SECONDS, end, end),
            trailing_bad=series.trailing_bad(end - rule.long_seconds // SLOT_SECONDS, end),
            has_guard=definition.policies.has_low_traffic_guard,
            sustained_failures=definition.policies.sustained_failures,
            units=measured.units,
            whole_budget=whole_budget,
        )
        for rule in rules
    ]


def _expected(measured: Measured, start: int, end: int, now_slot: int) -> Fraction:
    """How many events the slots ``[start, end)`` are to hold: as many as probes are due; else at the pace that was seen.

    The pace is taken since the first event, over an hour at least, so that a service of yesterday, or a month that has just
    begun, has the budget of a whole window.
    """
    slices = measured.instance.definition.slices
    if slices is not None:
        ignored = measured.budget_series.window(start, min(end, now_slot)).excluded
        return Fraction((end // slices.slots - start // slices.slots) * slices.units - ignored)
    if measured.interval_ms:
        return scheduled_events((end - start) * SLOT_SECONDS, interval_ms=measured.interval_ms)
    first = measured.series.first
    if first is None or start >= end:
        return Fraction(0)
    low = max(start, min(first, now_slot))
    seen = measured.series.window(low, min(end, now_slot))
    slots = max(min(end, now_slot) - low, min(_PACE_SLOTS, end - start))
    return Fraction(seen.total * (end - start), slots)


def _recent(measured: Measured, now: datetime) -> Counts:
    end = slot_at(now) + 1
    seen = measured.raw_recent or measured.recent  # a corrected outage was seen all the same
    return seen.window(end - max(int(measured.lost_after_seconds) // SLOT_SECONDS, 1), end)


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
    at = span(definition.window, now)
    rules = definition.rules_for(at.seconds)
    burning = [_burn_status(one, measured) for one in _judgements(measured, now, rules, at)]
    return (*burning, *_budget_statuses(measured, now, at), *_telemetry_statuses(measured, now))


def _budget_statuses(measured: Measured, now: datetime, at: WindowSpan) -> list[RuleStatus]:
    definition = measured.instance.definition
    if not definition.budget_rules:
        return []
    budget = budget_of(measured, at.start_slot, at.end_slot, at.seen_slot)
    view = BudgetView(
        budget=budget,
        exhaustion=_exhaustion(measured, now, at, budget),
        pace=_pace(measured, now, at),
        units=measured.units,
        target=definition.target,
        window_seconds=at.seconds,
        has_guard=definition.policies.has_low_traffic_guard,
        is_measured=bool(measured.budget_series.window(at.start_slot, at.seen_slot).total),
    )
    has_page = _has_page(measured)
    return [
        judge_budget(
            rule,
            view,
            measured.tracked.get(rule.name, _TRACKED_NOTHING),
            is_suppressed=rule.severity is Severity.TICKET and has_page,
        )
        for rule in definition.budget_rules
    ]


def _pace(measured: Measured, now: datetime, at: WindowSpan) -> Counts:
    end = slot_at(now) + 1
    return measured.alert_series.window(end - _pace_seconds(at.seconds) // SLOT_SECONDS, end)


def _exhaustion(measured: Measured, now: datetime, at: WindowSpan, budget: Budget) -> Exhaustion:
    return time_to_exhaustion(
        budget,
        measured.budget_series,
        window=measured.instance.definition.window,
        at=at,
        bad_per_second=Fraction(_pace(measured, now, at).bad, _pace_seconds(at.seconds) * measured.units),
        units=measured.units,
    )


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
    """Whether sight is lost for so long; None after a start, until a valid event or the limit decides.

    Groups live and fall silent with their source: the instance of all groups together tells it, once.
    """
    instance = measured.instance
    if not instance.has_source or (instance.group and instance.definition.has_roll_up):
        return False
    if measured.silent_seconds >= limit:
        return True
    return False if measured.is_heard or _recent(measured, now).total else None


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
    events = measured.series.window(at.start_slot, at.seen_slot)
    judged = measured.budget_series.window(at.start_slot, at.seen_slot)
    budget = budget_of(measured, at.start_slot, at.end_slot, at.seen_slot)
    alerts = rules_now(measured, now)
    readings = _readings(measured, now)
    first = measured.series.first
    return SloStatus(
        name=definition.name,
        cluster=measured.instance.cluster.name,
        description=definition.description,
        sli=definition.sli,
        objective=definition.target,
        window=definition.window,
        at=at,
        counts=judged if measured.units == 1 else events,
        budget=budget,
        burn_rates=readings,
        alerts=alerts,
        telemetry=_telemetry(measured, now),
        exhaustion=_exhaustion(measured, now, at, budget),
        corrupt_slots=measured.corrupt_slots,
        measured_since=slot_start(max(first, at.start_slot)) if first is not None else None,
        definition_since=measured.definition_since,
        interval_seconds=measured.interval_ms / 1000,
        group=measured.instance.group,
        method=definition.method,
        events=events,
        versions=_parts(measured, at),
        raw_events=(measured.raw or measured.series).window(at.start_slot, at.seen_slot),
        raw_budget=_raw_budget(measured, at) or budget,
        corrected_seconds=_overlap(measured.corrected, at.start_slot, at.seen_slot) * SLOT_SECONDS,
        exact_ratio=judged.ratio,
    )


def budget_of(measured: Measured, start: int, end: int, seen: int) -> Budget:
    """The budget of the window ``[start, end)`` of slots, of which those before ``seen`` have been."""
    target, units, own = measured.instance.definition.target, measured.units, start
    expected, carried = _expected(measured, start, end, seen), Fraction(0)
    if measured.instance.definition.policies.is_prorated and measured.since_slot is not None:
        begun = min(max(start, measured.since_slot), end - 1)
        expected = expected * (end - begun) / (end - start)
    for version in measured.earlier:
        low, high = max(start, version.start_slot), min(seen, version.end_slot)
        if low < high:
            own = max(own, high)
            part = spent_ratio(measured, version, low, high, expected)
            carried += part
    counts = measured.budget_series.window(own, seen)
    budget = error_budget(counts, target=target, window_seconds=(end - start) * SLOT_SECONDS, expected=expected)
    budget = replace(budget, carried_ratio=carried)
    if units == 1:
        return budget
    raw = budget.raw_allowed_bad / units
    return replace(budget, allowed_bad=budget.allowed_bad / units, raw_allowed_bad=raw, bad=Fraction(counts.bad, units))


def spent_ratio(measured: Measured, version: Version, low: int, high: int, expected: Fraction) -> Fraction:
    """The part of its budget that an earlier version spent in the slots ``[low, high)``."""
    counts = _counted_by(measured, version, low, high)
    volume = max(Fraction(counts.total), expected)
    return counts.bad / (allowed_ratio(version.target) * volume) if volume else Fraction(0)


def _counted_by(measured: Measured, version: Version, low: int, high: int) -> Counts:
    """What counted under an earlier version; what it counted itself is not corrected yet."""
    if version.series is None:
        return measured.series.window(low, high)
    counts = version.series.window(low, high)
    for start, end in measured.corrected:
        counts -= version.series.window(max(start, low), min(end, high))
    return counts


def _parts(measured: Measured, at: WindowSpan) -> tuple[VersionPart, ...]:
    """Earlier versions within the window, and what each of them spent."""
    expected, found = _expected(measured, at.start_slot, at.end_slot, at.seen_slot), []
    for one in measured.earlier:
        low, high = max(at.start_slot, one.start_slot), min(at.seen_slot, one.end_slot)
        if low < high:
            counts = _counted_by(measured, one, low, high)
            spent = spent_ratio(measured, one, low, high, expected)
            found.append(
                VersionPart(
                    start=slot_start(low), end=slot_start(high), objective=one.target, counts=counts, consumed_ratio=spent
                )
            )
    return tuple(found)


def _raw_budget(measured: Measured, at: WindowSpan) -> Budget | None:
    """What the budget were without the corrections; None: there is none within the window."""
    if measured.raw is None or not _overlap(measured.corrected, at.start_slot, at.seen_slot):
        return None
    judged, slices = None, measured.instance.definition.slices
    if slices is not None:
        judged = SliceSeries(slices)
        judged.follow(measured.raw, at.seen_slot - 1)
    raw = replace(measured, series=measured.raw, judged=judged, corrected=())
    return budget_of(raw, at.start_slot, at.end_slot, at.seen_slot)


def _overlap(intervals: tuple[Interval, ...], start: int, end: int) -> int:
    return sum(max(min(high, end) - max(low, start), 0) for low, high in intervals)


def _pace_seconds(window_seconds: int) -> int:
    """Over how long the present rate of bad events is taken: an hour, or the whole window where it is shorter."""
    return min(3_600, window_seconds)


def _readings(measured: Measured, now: datetime) -> tuple[BurnReading, ...]:
    definition, end = measured.instance.definition, slot_at(now) + 1
    lengths = set(definition.watched_seconds) | {
        length
        for rule in definition.rules_for(span(definition.window, now).seconds)
        for length in (rule.long_seconds, rule.short_seconds)
    }
    readings = []
    for length in sorted(lengths):
        counts = measured.alert_series.window(end - length // SLOT_SECONDS, end)
        rate = burn_rate(counts.bad, counts.total, target=definition.target) if counts.total else None
        readings.append(BurnReading(window_seconds=length, counts=counts, rate=rate))
    return tuple(readings)
