"""An SLO in plain words: what is promised, what it costs to break it, when somebody is told, and what happens now."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import BurnRule, Severity
from dbre.capabilities.slo.alert_state import AlertState
from dbre.capabilities.slo.burn_rate import detection_seconds, spent_when_fired
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.explanation_words import WORDS, Language
from dbre.capabilities.slo.low_traffic_guard import smallest_alarming
from dbre.capabilities.slo.model import RuleKind, RuleStatus, SloStatus
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.sli_words import sli_text
from dbre.capabilities.slo.sources import SourceKind
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.capabilities.slo.window import CalendarWindow
from dbre.capabilities.slo.wording import burn_text
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["DetectionRow", "detection_rows", "explain"]

_ERROR_RATIOS = tuple(Fraction(text) for text in ("1", "0.1", "0.02", "0.01", "0.005", "0.0015"))

DetectionRow = tuple[Fraction, dict[str, Fraction | None]]
"""An error ratio, and after how many seconds each rule fires at it; None: never."""


def detection_rows(status: SloStatus, definition: Definition) -> list[DetectionRow]:
    """How long errors of several sizes last until each rule fires, in whole events at their schedule or their pace.

    The guard is counted in: so many bad events as chance may give are waited for, unless a row of bad ones is enough.
    """
    rules = definition.rules_for(status.at.seconds)
    rows = [(ratio, {rule.name: _detection(status, definition, rule, ratio) for rule in rules}) for ratio in _ERROR_RATIOS]
    return [row for row in rows if row[0] == 1 or any(seconds is not None for seconds in row[1].values())]


def _units(definition: Definition) -> int:
    """What one event is worth in counts."""
    return 1 if definition.slices is None else definition.slices.units


def _interval(status: SloStatus, definition: Definition) -> Fraction:
    """How many seconds lie between two events: of the schedule, or of the traffic that was seen; 0: none was."""
    if definition.slices is not None:
        return Fraction(definition.slices.seconds)
    if status.interval_seconds:
        return Fraction(str(status.interval_seconds))
    events = status.budget.allowed_bad / allowed_ratio(status.objective)
    return status.at.seconds / events if events else Fraction(0)


def _detection(status: SloStatus, definition: Definition, rule: BurnRule, ratio: Fraction) -> Fraction | None:
    allowed, policies = allowed_ratio(status.objective), definition.policies
    interval = _interval(status, definition)
    if not interval or _units(definition) != 1:  # no events, or parts of them: nothing is whole
        return detection_seconds(rule.factor, ratio, target=status.objective, long_seconds=rule.long_seconds)
    if ratio <= rule.factor * allowed:
        return None
    events = int(rule.long_seconds / interval)
    needed = int(rule.factor * allowed * events) + 1  # strictly more than the factor
    if policies.has_low_traffic_guard:
        proof = smallest_alarming(events, allowed=allowed)
        if ratio == 1 and policies.sustained_failures:
            proof = min(proof, policies.sustained_failures)
        needed = max(needed, proof)
    seconds = needed * interval / ratio
    return seconds if seconds <= rule.long_seconds else None


def explain(status: SloStatus, definition: Definition, *, language: Language = Language.ENGLISH) -> str:
    """Everything about one SLO instance that a person who never heard of burn rates needs."""
    return _Explanation(status, definition, definition.rules_for(status.at.seconds), language, WORDS[language]).text()


def _short(ratio: Fraction | float) -> str:
    return format_percent(float(ratio), digits=6).replace(" %", "").rstrip("0").rstrip(".")


def _long(seconds: Fraction | float) -> str:
    return format_duration(float(seconds))


def _part(ratio: Fraction | float, digits: int = 1) -> str:
    return format_percent(float(ratio), digits=digits)


_TELEMETRY = {
    TelemetryState.NO_TRAFFIC: "no_traffic",
    TelemetryState.TELEMETRY_LOST: "telemetry_lost",
    TelemetryState.SOURCE_DOWN: "source_down",
}


@dataclass(frozen=True, slots=True)
class _Explanation:
    status: SloStatus
    definition: Definition
    rules: tuple[BurnRule, ...]
    language: Language
    words: Mapping[str, str]

    def text(self) -> str:
        parts = [self._promise(), self._budget(), self._now(), self._rules(), self._table(), self._limits()]
        return "\n\n".join(part for part in parts if part)

    @property
    def _events(self) -> str:
        if self.definition.slices is not None:
            return self.words["slices"].format(length=_long(self.definition.slices.seconds))
        return self.words["probes" if self.definition.sli.is_probed else "events"]

    @property
    def _window(self) -> str:
        window = self.status.window
        if isinstance(window, CalendarWindow):
            return self.words["calendar"].format(unit=self.words[window.unit.value], zone=window.time_zone)
        return self.words["rolling"].format(length=_long(window.seconds))

    def _rate(self, rate: float) -> str:
        return burn_text(rate).replace("times", self.words["times"])

    def _promise(self) -> str:
        status, events = self.status, self._events
        title = printable(status.id if status.group else f"{status.name} on {status.cluster}", limit=200)
        if self.language is Language.SPANISH and not status.group:
            title = printable(f"{status.name} en {status.cluster}", limit=200)
        lines = [title, "=" * len(title), *([printable(status.description)] if status.description else [])]
        sli, objective = sli_text(status.sli, self.language), _short(Fraction(status.objective))
        lines.append(self.words["promise"].format(sli=sli, objective=objective, events=events, window=self._window))
        lines.append(
            self.words["allowance"].format(
                allowed=_short(1 - Fraction(status.objective)),
                count=float(status.budget.allowed_bad),
                events=events,
                outage=_long(status.budget.seconds),
            )
        )
        return "\n".join(lines)

    def _budget(self) -> str:
        status, budget = self.status, self.status.budget
        if status.ratio is None:
            return self.words["unmeasured"]
        sentence = self.words["measured"].format(
            good=status.good,
            bad=status.bad,
            total=status.total,
            events=self._events if _units(self.definition) == 1 else self.words["events"],  # ratios count in parts of slices
            ratio=_part(status.ratio, 4),
            consumed=_part(budget.consumed_ratio),
            left=_part(budget.remaining_ratio),
            time=_long(budget.remaining_seconds),
        )
        if self.definition.slices is None and (status.missed or status.excluded):
            uncounted = "uncounted_events" if self.definition.sli.source.kind is SourceKind.EVENTS else "uncounted"
            sentence += self.words[uncounted].format(missed=status.missed, excluded=status.excluded)
        if status.corrupt_slots:
            sentence += self.words["corrupt"].format(count=status.corrupt_slots)
        return sentence

    def _now(self) -> str:
        status, words = self.status, self.words
        lines = [words[_TELEMETRY[status.telemetry]]] if status.telemetry in _TELEMETRY else []
        lines += [
            words["fires"].format(
                severity=words[alert.severity.value], rule=alert.rule, since=_time(alert), why=self._why(alert)
            )
            for alert in status.active_alerts
        ]
        lines += [words["guarded"].format(rule=one.rule, events=self._events) for one in status.alerts if one.is_guarded]
        lines += [
            words["suppressed"].format(rule=one.rule)
            for one in status.alerts
            if one.is_suppressed and one.is_met and one.state is AlertState.PENDING
        ]
        lines += self._pace()
        return words["now"] + (("\n" + " " * len(words["now"])).join(lines) if lines else words["calm"])

    def _pace(self) -> list[str]:
        exhaustion = self.status.exhaustion
        if exhaustion.simple_seconds == 0:
            return [self.words["spent"]]
        if exhaustion.simple_seconds is None:
            return []
        text = self.words["pace"].format(time=_long(exhaustion.simple_seconds))
        if exhaustion.aged_seconds is None:
            text += self.words["pace_never"]
        elif exhaustion.aged_seconds != exhaustion.simple_seconds:
            text += self.words["pace_aged"].format(time=_long(exhaustion.aged_seconds))
        return [text + "."]

    def _why(self, alert: RuleStatus) -> str:
        if alert.kind is RuleKind.TELEMETRY:
            return self.words["why_silent"].format(time=_long(alert.threshold))
        return self.words["why_burns"].format(
            rate=self._rate(float(alert.burn_rate or 0)),
            window=_long(alert.long_seconds),
            limit=self._rate(float(alert.threshold)),
        )

    def _rules(self) -> str:
        if not self.rules:
            return ""
        lines = [self.words["rules"]]
        for rule in self.rules:
            spent = spent_when_fired(rule.factor, long_seconds=rule.long_seconds, period_seconds=self.status.at.seconds)
            lines.append(
                self.words["rule"].format(
                    rule=rule.name,
                    severity=self.words["a_page" if rule.severity is Severity.PAGE else "a_ticket"],
                    limit=self._rate(float(rule.factor)),
                    long=_long(rule.long_seconds),
                    short=_long(rule.short_seconds),
                    spent=_part(spent),
                )
            )
        return "\n".join(lines)

    def _table(self) -> str:
        if not self.rules:
            return ""
        header = [self.words["errors"], *(rule.name for rule in self.rules), self.words["first_told"]]
        rows = [header]
        for ratio, times in detection_rows(self.status, self.definition):
            reached = [seconds for seconds in times.values() if seconds is not None]
            spent = min(reached) * ratio / self.status.budget.seconds if reached else None
            found = [times.get(rule.name) for rule in self.rules]
            cells = [self.words["never"] if seconds is None else _long(seconds) for seconds in found]
            rows.append([f"{float(ratio) * 100:g} %", *cells, "-" if spent is None else _part(spent)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return self.words["table"].format(events=self._events) + "\n  " + "\n  ".join(lines)

    def _limits(self) -> str:
        status, allowed = self.status, self.status.budget.allowed_bad
        if not allowed:
            return ""
        cost = _part(1 / allowed, 2)
        if self.definition.slices is None and status.interval_seconds:
            return self.words["limits"].format(interval=_long(status.interval_seconds), cost=cost)
        return self.words["limits_events"].format(events=self._events, cost=cost)


def _time(alert: RuleStatus) -> str:
    return "?" if alert.fired_at is None else alert.fired_at.strftime("%Y-%m-%d %H:%M:%SZ")
