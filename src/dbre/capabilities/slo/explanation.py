"""An SLO in plain words: what is promised, what it costs to break it, when somebody is told, and what happens now."""

from fractions import Fraction

from dbre.capabilities.slo.alert_rules import BurnRule, Severity
from dbre.capabilities.slo.alert_state import AlertState
from dbre.capabilities.slo.burn_rate import spent_when_fired
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.low_traffic_guard import smallest_alarming
from dbre.capabilities.slo.model import RuleKind, RuleStatus, SloStatus
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.capabilities.slo.wording import burn_text
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["DetectionRow", "detection_rows", "explain"]

_ERROR_RATIOS = tuple(Fraction(text) for text in ("1", "0.1", "0.02", "0.01", "0.005", "0.0015"))

DetectionRow = tuple[Fraction, dict[str, Fraction | None]]
"""An error ratio, and after how many seconds each rule fires at it; None: never."""


def detection_rows(status: SloStatus, definition: Definition) -> list[DetectionRow]:
    """How long errors of several sizes last until each rule fires, in whole probes at their schedule.

    The guard is counted in: so many bad probes as chance may give are waited for, unless a row of bad ones is enough.
    """
    rules = definition.rules_for(status.at.seconds)
    rows = [(ratio, {rule.name: _detection(status, definition, rule, ratio) for rule in rules}) for ratio in _ERROR_RATIOS]
    return [row for row in rows if row[0] == 1 or any(seconds is not None for seconds in row[1].values())]


def _detection(status: SloStatus, definition: Definition, rule: BurnRule, ratio: Fraction) -> Fraction | None:
    allowed, policies = allowed_ratio(status.objective), definition.policies
    if ratio <= rule.factor * allowed:
        return None
    interval = Fraction(str(status.interval_seconds))
    probes = int(rule.long_seconds / interval)
    needed = int(rule.factor * allowed * probes) + 1  # strictly more than the factor
    if policies.has_low_traffic_guard:
        proof = smallest_alarming(probes, allowed=allowed)
        if ratio == 1 and policies.sustained_failures:
            proof = min(proof, policies.sustained_failures)
        needed = max(needed, proof)
    seconds = needed * interval / ratio
    return seconds if seconds <= rule.long_seconds else None


def explain(status: SloStatus, definition: Definition) -> str:
    """Everything about one SLO instance that a person who never heard of burn rates needs."""
    rules = definition.rules_for(status.at.seconds)
    parts = [
        _promise(status),
        _budget(status),
        _now(status),
        _rules(status, rules),
        _table(status, definition, rules),
        _limits(status),
    ]
    return "\n\n".join(part for part in parts if part)


def _promise(status: SloStatus) -> str:
    title = f"{status.name} on {printable(status.cluster)}"
    lines = [title, "=" * len(title)]
    if status.description:
        lines.append(printable(status.description))
    objective = format_percent(status.objective, digits=6).replace(" %", "").rstrip("0").rstrip(".")
    lines.append(f"Promise: {status.sli}, for {objective} % of all probes, over a window that is {status.window}.")
    allowed = format_duration(float(status.budget.seconds))
    lines.append(
        f"So {format_percent(float(1 - status.objective), digits=6).replace(' %', '').rstrip('0').rstrip('.')} % may fail:"
        f" {float(status.budget.allowed_bad):.1f} probes, or {allowed} of total outage. That is the error budget."
    )
    return "\n".join(lines)


def _budget(status: SloStatus) -> str:
    if status.ratio is None:
        return "Nothing has been measured in this window yet, so nobody knows whether the promise is kept."
    budget = status.budget
    sentence = (
        f"Measured: {status.good} good and {status.bad} bad of {status.total} probes"
        f" ({format_percent(float(status.ratio), digits=4)} good)."
        f" {format_percent(float(budget.consumed_ratio), digits=1)} of the budget is spent,"
        f" {format_percent(float(budget.remaining_ratio), digits=1)} is left:"
        f" {format_duration(float(budget.remaining_seconds))} of total outage."
    )
    if status.missed or status.excluded:
        sentence += (
            f" Not counted: {status.missed} probes that did not run, {status.excluded} that failed by our own fault"
            " (login, grant)."
        )
    if status.corrupt_slots:
        sentence += f" {status.corrupt_slots} stored slots contradict themselves and are left out."
    return sentence


_TELEMETRY_TEXT = {
    TelemetryState.OK: "",
    TelemetryState.NO_TRAFFIC: "There is no valid measurement yet, or the cluster has no endpoint for this SLO.",
    TelemetryState.TELEMETRY_LOST: "Measurements have stopped: the budget is not being kept, it is unknown.",
    TelemetryState.SOURCE_DOWN: "Every recent probe failed: for clients the database is down.",
}


def _now(status: SloStatus) -> str:
    lines = [text] if (text := _TELEMETRY_TEXT[status.telemetry]) else []
    lines += [
        f"{alert.severity.value.upper()} {alert.rule} fires since {_time(alert)}: {_why(alert)}."
        for alert in status.active_alerts
    ]
    lines += [
        f"{rule.rule} would fire, but so few bad probes may be chance; it waits for more."
        for rule in status.alerts
        if rule.is_guarded
    ]
    lines += [
        f"{rule.rule} is met as well, and waits while the page lasts."
        for rule in status.alerts
        if rule.is_suppressed and rule.is_met and rule.state is AlertState.PENDING
    ]
    exhaustion = status.exhaustion
    if exhaustion.simple_seconds == 0:
        lines.append("The budget is spent.")
    elif exhaustion.simple_seconds is not None:
        text = f"At the pace of the last hour the budget is gone in {format_duration(float(exhaustion.simple_seconds))}"
        if exhaustion.aged_seconds is None:
            text += "; as old errors leave the window, it never is"
        elif exhaustion.aged_seconds != exhaustion.simple_seconds:
            text += f"; as old errors leave the window, in {format_duration(float(exhaustion.aged_seconds))}"
        lines.append(text + ".")
    return "Now: " + ("\n     ".join(lines) if lines else "nothing is burning, and no alert is under way.")


def _time(alert: RuleStatus) -> str:
    return "?" if alert.fired_at is None else alert.fired_at.strftime("%Y-%m-%d %H:%M:%SZ")


def _why(alert: RuleStatus) -> str:
    if alert.kind is RuleKind.TELEMETRY:
        return f"no valid measurement for more than {format_duration(float(alert.threshold))}"
    return (
        f"the budget burns {burn_text(float(alert.burn_rate or 0))} as fast as it may over"
        f" {format_duration(alert.long_seconds)} (limit {burn_text(float(alert.threshold))})"
    )


def _rules(status: SloStatus, rules: tuple[BurnRule, ...]) -> str:
    lines = [
        "Burn rate 1 spends exactly the whole budget in one window; 14.4 spends it 14.4 times as fast.",
        "Who is told when (both windows must burn; the short one ends the alert soon after the errors end):",
    ]
    for rule in rules:
        spent = spent_when_fired(rule.factor, long_seconds=rule.long_seconds, period_seconds=status.at.seconds)
        lines.append(
            f"  {rule.name}: {'a page' if rule.severity is Severity.PAGE else 'a ticket'} above"
            f" {burn_text(float(rule.factor))} over {format_duration(rule.long_seconds)} and"
            f" {format_duration(rule.short_seconds)}; {format_percent(float(spent), digits=1)} of the budget is spent by then"
        )
    return "\n".join(lines)


def _table(status: SloStatus, definition: Definition, rules: tuple[BurnRule, ...]) -> str:
    header = ["errors", *(rule.name for rule in rules), "budget spent when first told"]
    rows = [header]
    for ratio, times in detection_rows(status, definition):
        reached = [seconds for seconds in times.values() if seconds is not None]
        spent = min(reached) * ratio / (status.budget.seconds) if reached else None
        cells = [f"{float(ratio) * 100:g} %"]
        for rule in rules:
            seconds = times.get(rule.name)
            cells.append("never" if seconds is None else format_duration(float(seconds)))
        rows.append([*cells, "-" if spent is None else format_percent(float(spent), digits=1)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "How long errors last until a rule fires, if there were none before (in whole probes):\n  " + "\n  ".join(lines)


def _limits(status: SloStatus) -> str:
    return (
        f"One probe each {format_duration(status.interval_seconds)}: an outage shorter than that may go unseen,"
        f" and each bad probe costs {format_percent(float(1 / status.budget.allowed_bad), digits=2)} of the budget."
    )
