"""An SLO's alerts over a history: the decisions of the engine, slot by slot, as fast as most slots allow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from heapq import merge

from dbre.capabilities.slo.alert_rules import BudgetRule, BurnRule, RuleKind, Severity
from dbre.capabilities.slo.alert_state import AlertState, TrackedAlert, Transition, advance
from dbre.capabilities.slo.assessment import Measured, assess, rules_now
from dbre.capabilities.slo.budget_rules import KEEP_SECONDS
from dbre.capabilities.slo.correction import Interval
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.low_traffic_guard import exceeds_chance
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_start
from dbre.capabilities.slo.simulation.prefix import PrefixSums
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.window import CalendarWindow, span

__all__ = ["Replay", "ReplayedAlert", "history_of", "replay"]

_NEVER_SILENT = 86_400.0
_BUDGET_SLOTS = 60 // SLOT_SECONDS  # rules about the budget are decided at the end of each minute: to see it costs a window
_PACE_SLOTS = 3_600 // SLOT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedAlert:
    """One alert that would have fired. ``errors_since`` is where its errors began; None: it tells of a whole window."""

    rule: str
    severity: Severity
    fired_at: datetime
    resolved_at: datetime | None
    errors_since: datetime | None

    @property
    def detection_seconds(self) -> float | None:
        """How long the errors had lasted; None where it tells of the budget."""
        return None if self.errors_since is None else (self.fired_at - self.errors_since).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What would have happened between two moments."""

    start: datetime
    end: datetime
    alerts: tuple[ReplayedAlert, ...]
    status: SloStatus  # at the end; the alerts in it are not tracked

    @property
    def pages(self) -> tuple[ReplayedAlert, ...]:
        """Alerts that wake somebody."""
        return tuple(one for one in self.alerts if one.severity is Severity.PAGE)

    @property
    def tickets(self) -> tuple[ReplayedAlert, ...]:
        """Alerts for working hours."""
        return tuple(one for one in self.alerts if one.severity is Severity.TICKET)


def replay(
    instance: SloInstance,
    series: SlotSeries,
    *,
    start: int,
    end: int,
    interval_ms: int,
    is_silent: bool = False,
    corrected: tuple[Interval, ...] = (),
) -> Replay:
    """The alerts of an instance over the slots ``[start, end)`` of a series, and its state at the end.

    What lies before ``start`` is history that windows look back to. ``is_silent`` leaves tickets and rules about the budget
    out: they cost time. ``corrected`` are the slots that the series lacks because they do not count.
    """
    run = _Run(instance, series, start=start, end=end, interval_ms=interval_ms, is_silent=is_silent, corrected=corrected)
    for slot in run.slots():
        run.evaluate(slot)
    status = assess(run.measured, _moment(end - 1))
    return Replay(start=slot_start(start), end=slot_start(end), alerts=tuple(run.finished()), status=status)


def history_of(
    instance: SloInstance, series: SlotSeries, *, end: int, interval_ms: int, corrected: tuple[Interval, ...] = ()
) -> Measured:
    """A fixed history up to a slot, as the engine measures one; it lacks the slots that are corrected."""
    judged = None
    if (slices := instance.definition.slices) is not None:
        judged = SliceSeries(slices)
        judged.follow(series, end, corrected=corrected)
    return Measured(
        instance=instance,
        series=series,
        recent=series,
        interval_ms=interval_ms,
        silent_seconds=0.0,
        lost_after_seconds=_NEVER_SILENT,
        judged=judged,
        judged_recent=judged,
        corrected=corrected,
    )


def _moment(slot: int) -> datetime:
    """When a slot is evaluated: in its last second, so that all of it is seen."""
    return slot_start(slot) + timedelta(seconds=SLOT_SECONDS - 1)


@dataclass(slots=True)
class _Rule:
    """A rule with the numbers that decide without fractions: it burns where ``bad * denominator > numerator * total``."""

    rule: BurnRule
    numerator: int
    denominator: int
    long_slots: int
    short_slots: int
    due: int  # parts of events that the long window is to hold; 0: nothing is scheduled
    parts: int  # of one event

    def burns(self, bad: int, total: int) -> bool:
        return bad * self.denominator > self.numerator * total


class _Run:
    """One replay under way."""

    def __init__(
        self,
        instance: SloInstance,
        series: SlotSeries,
        *,
        start: int,
        end: int,
        interval_ms: int,
        is_silent: bool,
        corrected: tuple[Interval, ...],
    ) -> None:
        self.instance, self.series, self.interval_ms, self.is_silent = instance, series, interval_ms, is_silent
        self.start, self.end = start, end
        self.tracked: dict[str, TrackedAlert] = {}
        self.alerts: list[ReplayedAlert] = []
        self._open: dict[str, int] = {}  # by rule: where its alert stands in the list
        self._rules: tuple[int, list[_Rule]] = (-1, [])
        self._budget_rules = () if is_silent else instance.definition.budget_rules
        self.measured = history_of(instance, series, end=end, interval_ms=interval_ms, corrected=corrected)
        first = series.first
        reach = start - instance.definition.window.longest_seconds // SLOT_SECONDS
        self.sums = PrefixSums(series, start if first is None else max(min(first, start), reach), end)

    def slots(self) -> Iterator[int]:
        """Every slot at which something may change, and with rules about the budget the last of each minute."""
        if not self._budget_rules:
            yield from self._burning_slots()
            return
        last = -1
        minutes = range(self.start + (-1 - self.start) % _BUDGET_SLOTS, self.end, _BUDGET_SLOTS)
        for slot in merge(self._burning_slots(), minutes):
            if slot != last:
                yield slot
            last = slot

    def _burning_slots(self) -> Iterator[int]:
        """Where a burn rule may change: it needs bad events in its short window to be met."""
        period = self.instance.definition.window.longest_seconds
        rules = [one for one in self.instance.definition.rules_for(period) if self._is_wanted(one)]
        if not rules:
            return
        reach = max(one.short_seconds for one in rules) // SLOT_SECONDS
        slices = self.instance.definition.slices
        reach += 0 if slices is None else slices.slots
        lows = (self.series if slices is None else self._bad_slices()).runs(self.start - reach, self.end)
        at = self.start
        for run in lows:
            if not run.counts.bad:
                continue
            at = max(at, run.start)
            while at < min(run.end + reach, self.end):
                yield at
                at += 1
            while any(one.state is not AlertState.INACTIVE for one in self.tracked.values()) and at < self.end:
                yield at
                at += 1

    def _bad_slices(self) -> SlotSeries:
        """The slices as slots again: a slice without an event may be bad too."""
        judged, slots = self.measured.judged, SlotSeries()
        if judged is not None:
            for run in judged.runs(self.start - judged.unit_slots, self.end):
                slots.add(run.start * judged.unit_slots, run.counts, length=run.length * judged.unit_slots)
        return slots

    def _is_wanted(self, rule: BurnRule) -> bool:
        return rule.severity is Severity.PAGE or not self.is_silent

    def rules(self, slot: int) -> list[_Rule]:
        """The rules with the factors of the period that holds a slot."""
        definition = self.instance.definition
        window = definition.window
        period = span(window, _moment(slot)).seconds if isinstance(window, CalendarWindow) else window.seconds
        if self._rules[0] != period:
            wanted = [one for one in definition.rules_for(period) if self._is_wanted(one)]
            self._rules = (period, [self._prepared(one) for one in wanted])
        return self._rules[1]

    def _prepared(self, rule: BurnRule) -> _Rule:
        limit = rule.factor * allowed_ratio(self.instance.definition.target)
        scheduled = Fraction(rule.long_seconds * 1000, self.interval_ms) if self.interval_ms else Fraction(0)
        return _Rule(
            rule=rule,
            numerator=limit.numerator,
            denominator=limit.denominator,
            long_slots=rule.long_seconds // SLOT_SECONDS,
            short_slots=rule.short_seconds // SLOT_SECONDS,
            due=scheduled.numerator,
            parts=scheduled.denominator,
        )

    def evaluate(self, slot: int) -> None:
        """Decide every rule at one slot, pages first, as the engine does."""
        rules = self.rules(slot)
        met, budget = self._met(slot, rules), self._budget_met(slot)
        decided = self._budget_rules if budget is not None else ()
        pages = [one for one in rules if one.rule.severity is Severity.PAGE]
        is_burning = any(met[one.rule.name] for one in pages)
        has_burn_page = any(self._state(one.rule).is_active for one in pages)
        has_page = has_burn_page or any(
            self._state(one).is_active for one in self._budget_rules if one.severity is Severity.PAGE
        )
        for one in pages:
            has_burn_page |= self._decide(
                one, slot, is_met=met[one.rule.name], is_burning=is_burning, is_suppressed=has_burn_page
            )
        has_page |= has_burn_page
        for rule in decided:
            if rule.severity is Severity.PAGE:
                has_page |= self._decide_budget(rule, slot, is_met=(budget or {})[rule.name], is_suppressed=False)
        for one in rules:
            if one.rule.severity is Severity.TICKET:
                self._decide(one, slot, is_met=met[one.rule.name], is_burning=False, is_suppressed=has_page)
        for rule in decided:
            if rule.severity is Severity.TICKET:
                self._decide_budget(rule, slot, is_met=(budget or {})[rule.name], is_suppressed=has_page)

    def _decide(self, one: _Rule, slot: int, *, is_met: bool | None, is_burning: bool, is_suppressed: bool) -> bool:
        """Bring one rule to its next state; whether it fired."""
        rule, tracked = one.rule, self._state(one.rule)
        if tracked.state is AlertState.INACTIVE and not is_met:
            return False
        self.tracked[rule.name], transition = advance(
            tracked,
            is_met=True if tracked.is_active and is_burning else is_met,
            now=_moment(slot),
            for_seconds=rule.for_seconds,
            keep_firing_seconds=rule.keep_firing_seconds,
            is_suppressed=is_suppressed,
        )
        self._note(rule, transition, slot, since=one)
        return transition is Transition.FIRED

    def _decide_budget(self, rule: BudgetRule, slot: int, *, is_met: bool | None, is_suppressed: bool) -> bool:
        tracked = self._state(rule)
        if tracked.state is AlertState.INACTIVE and not is_met:
            return False
        self.tracked[rule.name], transition = advance(
            tracked,
            is_met=is_met,
            now=_moment(slot),
            for_seconds=0,
            keep_firing_seconds=KEEP_SECONDS,
            is_suppressed=is_suppressed,
        )
        self._note(rule, transition, slot, since=None)
        return transition is Transition.FIRED

    def _budget_met(self, slot: int) -> Mapping[str, bool | None] | None:
        """Which rules about the budget are met; None where this slot does not decide them."""
        if not self._budget_rules or (slot + 1) % _BUDGET_SLOTS:
            return None
        if self.measured.judged is None and all(self._is_far(slot, one) for one in self._budget_rules):
            return {one.name: False for one in self._budget_rules}
        return self._exactly(slot)

    def _is_far(self, slot: int, rule: BudgetRule) -> bool:
        """Whether even the budget of the events seen so far, which is the least there can be, does not meet a rule."""
        definition = self.instance.definition
        at = span(definition.window, _moment(slot))
        bad, total = self.sums.bad_and_total(at.start_slot, slot + 1)
        allowed = allowed_ratio(definition.target) * total
        if rule.kind is RuleKind.BUDGET:
            return bad < (1 - rule.threshold) * allowed
        return (
            bad < allowed and not self.sums.bad_and_total(slot + 1 - min(_PACE_SLOTS, at.seconds // SLOT_SECONDS), slot + 1)[0]
        )

    def _state(self, rule: BurnRule | BudgetRule) -> TrackedAlert:
        return self.tracked.get(rule.name, TrackedAlert())

    def _met(self, slot: int, rules: list[_Rule]) -> Mapping[str, bool | None]:
        if self.measured.judged is not None:
            return self._exactly(slot)
        found: dict[str, bool | None] = {}
        for one in rules:
            if not self._is_sure(slot, one):
                return self._exactly(slot)
            found[one.rule.name] = self._quickly(slot, one)
        return found

    def _quickly(self, slot: int, one: _Rule) -> bool | None:
        """Whether both windows burn; None where the short one is empty."""
        stop = slot + 1
        bad, total = self.sums.bad_and_total(stop - one.short_slots, stop)
        if not total:
            return None
        if not one.burns(bad, total):
            return False
        low = stop - one.long_slots
        bad, total = self.sums.bad_and_total(low, stop)
        unseen = max(one.due - self.sums.observed(low, stop) * one.parts, 0)
        return bad * one.denominator * one.parts > one.numerator * (total * one.parts + unseen)

    def _is_sure(self, slot: int, one: _Rule) -> bool:
        """Whether ``_quickly`` is the whole answer: what does not burn is not met, and what burns is, past every doubt."""
        if not self._quickly(slot, one):
            return True  # a warm-up only adds to the denominator, and the guard only takes away
        stop, low = slot + 1, slot + 1 - one.long_slots
        definition, first = self.instance.definition, self.series.first
        is_warm = bool(one.due) or (first is not None and first <= low)  # else the pace that was seen is the engine's
        bad, total = self.sums.bad_and_total(low, stop)
        return is_warm and (not definition.policies.has_low_traffic_guard or _is_no_chance(bad, total, definition.target))

    def _exactly(self, slot: int) -> Mapping[str, bool | None]:
        measured = replace(self.measured, tracked=self.tracked)
        return {one.rule: one.is_met for one in rules_now(measured, _moment(slot))}

    def _note(self, rule: BurnRule | BudgetRule, transition: Transition | None, slot: int, *, since: _Rule | None) -> None:
        name = rule.name
        if transition is Transition.FIRED:
            self._open[name] = len(self.alerts)
            self.alerts.append(
                ReplayedAlert(
                    rule=name,
                    severity=rule.severity,
                    fired_at=slot_start(slot + 1),
                    resolved_at=None,
                    errors_since=None if since is None else slot_start(self._errors_since(slot, since)),
                )
            )
        elif transition is Transition.RESOLVED and name in self._open:
            index = self._open.pop(name)
            self.alerts[index] = replace(self.alerts[index], resolved_at=slot_start(slot + 1))

    def _errors_since(self, slot: int, one: _Rule) -> int:
        """The first bad slot behind which no pause is longer than the short window, within reach of the long one."""
        since, low = slot, slot + 1 - one.long_slots
        for run in reversed([run for run in self.series.runs(low, slot + 1) if run.counts.bad]):
            if since - run.end > one.short_slots and since != slot:
                break
            since = run.start
        return since

    def finished(self) -> list[ReplayedAlert]:
        """Every alert, oldest first."""
        return sorted(self.alerts, key=lambda one: (one.fired_at, one.rule))


@lru_cache(maxsize=65_536)
def _is_no_chance(bad: int, total: int, target: Decimal) -> bool:
    return exceeds_chance(bad, total, allowed=allowed_ratio(target))
