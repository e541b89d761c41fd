"""SLO states as the API shows them: base units in the key, ratios as numbers, exact ones as text beside them."""

from datetime import datetime
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel

from dbre.capabilities.slo import AlertRecord, BurnDown, RuleStatus, SloStatus

__all__ = ["AlertItem", "BurnDownItem", "SloItem", "alert_item", "burn_down_item", "slo_item"]


class RuleItem(BaseModel):
    """One alert rule of an SLO, and where its alert stands."""

    rule: str
    kind: Literal["burn", "telemetry"]
    severity: Literal["page", "ticket"]
    state: Literal["inactive", "pending", "firing", "resolving"]
    since: datetime | None
    fired_at: datetime | None
    alert_id: str | None
    threshold: float
    burn_rate: float | None
    short_burn_rate: float | None
    long_seconds: int
    short_seconds: int
    is_guarded: bool
    is_met: bool | None
    is_suppressed: bool


class BudgetItem(BaseModel):
    """The error budget; ratios above 1 and below 0 mean overspent."""

    health: Literal["healthy", "warning", "critical", "exhausted"]
    seconds: float
    allowed_bad: float
    consumed_ratio: float
    consumed_ratio_exact: str
    remaining_ratio: float
    remaining_bad: float
    remaining_seconds: float
    raw_consumed_ratio: float | None
    exhausted_in_seconds: float | None
    exhausted_in_seconds_with_ageing: float | None


class BurnRateItem(BaseModel):
    """The burn rate over one window."""

    window_seconds: int
    good: int
    bad: int
    total: int
    rate: float | None


class SloItem(BaseModel):
    """One SLO on one cluster."""

    name: str
    cluster: str
    description: str
    sli: str
    objective_ratio: float
    objective: str
    window: str
    window_start: datetime
    window_end: datetime
    good: int
    bad: int
    total: int
    missed: int
    excluded: int
    sli_ratio: float | None
    budget: BudgetItem
    burn_rates: list[BurnRateItem]
    alerts: list[RuleItem]
    telemetry: Literal["ok", "no_traffic", "telemetry_lost", "source_down"]
    corrupt_slots: int
    measured_since: datetime | None
    interval_seconds: float


class AlertItem(BaseModel):
    """One alert from firing to resolved."""

    alert_id: str
    sequence: int
    slo: str
    cluster: str
    rule: str
    severity: Literal["page", "ticket"]
    fired_at: datetime
    resolved_at: datetime | None
    burn_rate: float | None
    threshold: float
    budget_remaining_ratio: float
    window_seconds: int
    telemetry_state: str
    summary: str


class BurnDownItem(BaseModel):
    """The budget over time in columns: ``at`` in Unix seconds, ``remaining_ratio`` beside it."""

    slo: str
    cluster: str
    start: datetime
    end: datetime
    at: list[float]
    remaining_ratio: list[float]


def slo_item(status: SloStatus) -> SloItem:
    """From a status to its item."""
    return SloItem(
        name=status.name,
        cluster=status.cluster,
        description=status.description,
        sli=str(status.sli),
        objective_ratio=float(status.objective),
        objective=f"{status.objective.normalize():f}",
        window=str(status.window),
        window_start=status.at.start,
        window_end=status.at.end,
        good=status.good,
        bad=status.bad,
        total=status.total,
        missed=status.missed,
        excluded=status.excluded,
        sli_ratio=_number(status.ratio),
        budget=_budget(status),
        burn_rates=[
            BurnRateItem(
                window_seconds=one.window_seconds,
                good=one.counts.good,
                bad=one.counts.bad,
                total=one.counts.total,
                rate=_number(one.rate),
            )
            for one in status.burn_rates
        ],
        alerts=[_rule(one) for one in status.alerts],
        telemetry=status.telemetry.value,
        corrupt_slots=status.corrupt_slots,
        measured_since=status.measured_since,
        interval_seconds=status.interval_seconds,
    )


def _budget(status: SloStatus) -> BudgetItem:
    budget = status.budget
    return BudgetItem(
        health=budget.health.value,
        seconds=float(budget.seconds),
        allowed_bad=float(budget.allowed_bad),
        consumed_ratio=float(budget.consumed_ratio),
        consumed_ratio_exact=str(budget.consumed_ratio),
        remaining_ratio=float(budget.remaining_ratio),
        remaining_bad=float(budget.remaining_bad),
        remaining_seconds=float(budget.remaining_seconds),
        raw_consumed_ratio=_number(budget.raw_consumed_ratio),
        exhausted_in_seconds=_number(status.exhaustion.simple_seconds),
        exhausted_in_seconds_with_ageing=_number(status.exhaustion.aged_seconds),
    )


def _rule(alert: RuleStatus) -> RuleItem:
    return RuleItem(
        rule=alert.rule,
        kind=alert.kind.value,
        severity=alert.severity.value,
        state=alert.state.value,
        since=alert.since,
        fired_at=alert.fired_at,
        alert_id=alert.alert_id,
        threshold=float(alert.threshold),
        burn_rate=_number(alert.burn_rate),
        short_burn_rate=_number(alert.short_burn_rate),
        long_seconds=alert.long_seconds,
        short_seconds=alert.short_seconds,
        is_guarded=alert.is_guarded,
        is_met=alert.is_met,
        is_suppressed=alert.is_suppressed,
    )


def alert_item(alert: AlertRecord) -> AlertItem:
    """From a stored alert to its item."""
    return AlertItem(
        alert_id=alert.alert_id,
        sequence=alert.sequence,
        slo=alert.slo,
        cluster=alert.cluster,
        rule=alert.rule,
        severity=alert.severity.value,
        fired_at=alert.fired_at,
        resolved_at=alert.resolved_at,
        burn_rate=alert.burn_rate,
        threshold=alert.threshold,
        budget_remaining_ratio=alert.budget_remaining_ratio,
        window_seconds=alert.window_seconds,
        telemetry_state=alert.telemetry_state.value,
        summary=alert.summary,
    )


def burn_down_item(series: BurnDown) -> BurnDownItem:
    """From a series to its columns."""
    return BurnDownItem(
        slo=series.slo,
        cluster=series.cluster,
        start=series.start,
        end=series.end,
        at=[one.at.timestamp() for one in series.points],
        remaining_ratio=[float(one.remaining_ratio) for one in series.points],
    )


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
