"""SLO results as rows of a document: base units in the key, ratios as numbers, and exact text where exactness matters."""

from datetime import datetime
from fractions import Fraction

from dbre.capabilities.slo.budgeting_method import Method
from dbre.capabilities.slo.model import AlertRecord, BurnDown, RuleKind, RuleStatus, SloStatus

__all__ = ["alert_row", "burn_down_rows", "burn_rows", "rule_row", "status_row"]


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _moment(value: datetime | None) -> str | None:
    return (
        None
        if value is None
        else value.isoformat(timespec="seconds" if not value.microsecond else "microseconds").replace("+00:00", "Z")
    )


def rule_row(rule: RuleStatus) -> dict[str, object]:
    """One rule and its alert."""
    is_burn, is_part = rule.kind is RuleKind.BURN, rule.kind is RuleKind.BUDGET
    return {
        "rule": rule.rule,
        "kind": rule.kind.value,
        "severity": rule.severity.value,
        "state": rule.state.value,
        "since": _moment(rule.since),
        "fired_at": _moment(rule.fired_at),
        "alert_id": rule.alert_id,
        "threshold_burn_rate": float(rule.threshold) if is_burn else None,
        "threshold_seconds": None if is_burn or is_part else float(rule.threshold),
        "threshold_remaining_ratio": float(rule.threshold) if is_part else None,
        "burn_rate": _number(rule.burn_rate),
        "short_burn_rate": _number(rule.short_burn_rate),
        "long_seconds": rule.long_seconds,
        "short_seconds": rule.short_seconds,
        "condition": rule.is_met,
        "held_back_by_guard": rule.is_guarded,
        "held_back_by_page": rule.is_suppressed and rule.is_met is True,
    }


def status_row(status: SloStatus) -> dict[str, object]:
    """One SLO instance, whole."""
    budget, exhaustion = status.budget, status.exhaustion
    return {
        "id": status.id,
        "name": status.name,
        "cluster": status.cluster,
        "group": status.group,
        "description": status.description,
        "sli": {
            "kind": status.sli.kind.value,
            "source": status.sli.source.kind.value,
            "purpose": status.sli.purpose.value if status.sli.is_probed else None,
            "limit_seconds": None if status.sli.limit_ms is None else status.sli.limit_ms / 1000,
            "text": str(status.sli),
        },
        "objective_ratio": float(status.objective),
        "objective_exact": f"{status.objective.normalize():f}",
        "window": {
            "text": str(status.window),
            "start": _moment(status.at.start),
            "end": _moment(status.at.end),
            "seconds": status.at.seconds,
        },
        "good": status.good,
        "bad": status.bad,
        "total": status.total,
        "missed": status.missed,
        "excluded": status.excluded,
        "sli_ratio": _number(status.ratio),
        "sli_exact": _exact(status),
        "method": status.method.value,
        "events": {"good": status.events.good, "bad": status.events.bad, "total": status.events.total},
        "budget": {
            "health": budget.health.value,
            "allowed_bad": float(budget.allowed_bad),
            "allowed_bad_exact": str(budget.allowed_bad),
            "consumed_ratio": float(budget.consumed_ratio),
            "consumed_exact": str(budget.consumed_ratio),
            "remaining_ratio": float(budget.remaining_ratio),
            "remaining_exact": str(budget.remaining_ratio),
            "remaining_bad": float(budget.remaining_bad),
            "remaining_seconds": float(budget.remaining_seconds),
            "total_seconds": float(budget.seconds),
            "raw_consumed_ratio": _number(budget.raw_consumed_ratio),
        },
        "earlier_versions": _version_rows(status),
        "correction": _correction_row(status),
        "burn_rates": burn_rows(status),
        "alerts": [rule_row(rule) for rule in status.alerts],
        "telemetry_state": status.telemetry.value,
        "exhaustion_seconds": _number(exhaustion.simple_seconds),
        "exhaustion_with_ageing_seconds": _number(exhaustion.aged_seconds),
        "corrupt_slots": status.corrupt_slots,
        "measured_since": _moment(status.measured_since),
        "definition_since": _moment(status.definition_since),
        "interval_seconds": status.interval_seconds,
    }


def _version_rows(status: SloStatus) -> list[dict[str, object]]:
    return [
        {
            "start": _moment(one.start),
            "end": _moment(one.end),
            "objective_exact": f"{one.objective.normalize():f}",
            "good": one.counts.good,
            "bad": one.counts.bad,
            "consumed_ratio": float(one.consumed_ratio),
            "consumed_exact": str(one.consumed_ratio),
        }
        for one in status.versions
    ]


def _correction_row(status: SloStatus) -> dict[str, object]:
    return {
        "corrected_seconds": status.corrected_seconds,
        "raw_good": status.raw_events.good,
        "raw_bad": status.raw_events.bad,
        "raw_total": status.raw_events.total,
        "raw_remaining_ratio": None if status.raw_budget is None else float(status.raw_budget.remaining_ratio),
        "raw_remaining_exact": None if status.raw_budget is None else str(status.raw_budget.remaining_ratio),
    }


def _exact(status: SloStatus) -> str | None:
    if status.ratio is None or status.method is Method.RATIO_TIMESLICES:
        return None if status.ratio is None else str(status.ratio)
    return f"{status.good}/{status.total}"


def burn_rows(status: SloStatus) -> list[dict[str, object]]:
    """The burn rate of each window that a rule looks at."""
    return [
        {
            "window_seconds": one.window_seconds,
            "burn_rate": _number(one.rate),
            "burn_rate_exact": None if one.rate is None else str(one.rate),
            "bad": one.counts.bad,
            "total": one.counts.total,
        }
        for one in status.burn_rates
    ]


def alert_row(alert: AlertRecord) -> dict[str, object]:
    """One alert from firing to resolved."""
    return {
        "alert_id": alert.alert_id,
        "sequence": alert.sequence,
        "slo": alert.slo,
        "cluster": alert.cluster,
        "group": alert.group,
        "rule": alert.rule,
        "severity": alert.severity.value,
        "is_active": alert.resolved_at is None,
        "fired_at": _moment(alert.fired_at),
        "resolved_at": _moment(alert.resolved_at),
        "burn_rate": alert.burn_rate,
        "threshold": alert.threshold,
        "budget_remaining_ratio": alert.budget_remaining_ratio,
        "window_seconds": alert.window_seconds,
        "telemetry_state": alert.telemetry_state.value,
        "summary": alert.summary,
    }


def burn_down_rows(chart: BurnDown) -> dict[str, object]:
    """Columns for a chart: seconds since 1970, and what was left."""
    return {
        "slo": chart.slo,
        "cluster": chart.cluster,
        "group": chart.group,
        "start": _moment(chart.start),
        "end": _moment(chart.end),
        "at_seconds": [point.at.timestamp() for point in chart.points],
        "remaining_ratio": [float(point.remaining_ratio) for point in chart.points],
    }
