"""The shape of SLO documents, for the API's own description; the values are the rows that ``dbre slo -o json`` prints."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dbre.capabilities.slo import AlertRecord, BurnDown, SloStatus, alert_row, burn_down_rows, status_row

__all__ = ["AlertItem", "BurnDownItem", "SloItem", "alert_item", "burn_down_item", "slo_item"]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a new key of a row is described here, or it is an error in the tests


class SliItem(_Item):
    """What counts as good."""

    kind: str
    source: Literal["probe", "events", "prometheus", "sql", "service", "recovery_point"]
    purpose: Literal["write", "read", "replica"] | None
    limit_seconds: float | None
    text: str


class WindowItem(_Item):
    """The compliance period."""

    text: str
    start: datetime
    end: datetime
    seconds: float


class BudgetItem(_Item):
    """The error budget; ratios above 1 and below 0 mean overspent."""

    health: Literal["healthy", "warning", "critical", "exhausted"]
    allowed_bad: float
    allowed_bad_exact: str
    consumed_ratio: float
    consumed_exact: str
    remaining_ratio: float
    remaining_exact: str
    remaining_bad: float
    remaining_seconds: float
    total_seconds: float
    raw_consumed_ratio: float | None


class EventsItem(_Item):
    """Valid events of the window, also where the method counts slices."""

    good: int
    bad: int
    total: int


class EarlierVersionItem(_Item):
    """A part of the window in which an earlier version of the definition held, and what it cost by that version."""

    start: datetime
    end: datetime
    objective_exact: str
    good: int
    bad: int
    consumed_ratio: float
    consumed_exact: str


class CorrectionItem(_Item):
    """Times that were left out of the numbers by a correction, and the numbers without it; null: there is none."""

    corrected_seconds: float
    raw_good: int
    raw_bad: int
    raw_total: int
    raw_remaining_ratio: float | None
    raw_remaining_exact: str | None


class BurnRateItem(_Item):
    """The burn rate over one window."""

    window_seconds: int
    burn_rate: float | None
    burn_rate_exact: str | None
    bad: int
    total: int


class RuleItem(_Item):
    """One alert rule of an SLO, and where its alert stands."""

    rule: str
    kind: str
    severity: Literal["page", "ticket"]
    state: Literal["inactive", "pending", "firing", "resolving"]
    since: datetime | None
    fired_at: datetime | None
    alert_id: str | None
    threshold_burn_rate: float | None
    threshold_seconds: float | None
    threshold_remaining_ratio: float | None
    burn_rate: float | None
    short_burn_rate: float | None
    long_seconds: int
    short_seconds: int
    condition: bool | None
    held_back_by_guard: bool
    held_back_by_page: bool


class SloItem(_Item):
    """One SLO on one cluster, or one group of its events there."""

    id: str
    name: str
    cluster: str
    group: str
    description: str
    sli: SliItem
    objective_ratio: float
    objective_exact: str
    window: WindowItem
    good: int
    bad: int
    total: int
    missed: int
    excluded: int
    sli_ratio: float | None
    sli_exact: str | None
    method: Literal["occurrences", "timeslices", "ratio_timeslices"]
    events: EventsItem
    budget: BudgetItem
    earlier_versions: list[EarlierVersionItem]
    correction: CorrectionItem
    burn_rates: list[BurnRateItem]
    alerts: list[RuleItem]
    telemetry_state: Literal["ok", "no_traffic", "telemetry_lost", "source_down"]
    exhaustion_seconds: float | None
    exhaustion_with_ageing_seconds: float | None
    corrupt_slots: int
    measured_since: datetime | None
    definition_since: datetime | None
    interval_seconds: float


class AlertItem(_Item):
    """One alert from firing to resolved."""

    alert_id: str
    sequence: int
    slo: str
    cluster: str
    group: str
    rule: str
    severity: Literal["page", "ticket"]
    is_active: bool
    fired_at: datetime
    resolved_at: datetime | None
    burn_rate: float | None
    threshold: float
    budget_remaining_ratio: float
    window_seconds: int
    telemetry_state: str
    summary: str


class BurnDownItem(_Item):
    """The budget over time in columns: ``at_seconds`` since 1970, ``remaining_ratio`` beside it."""

    slo: str
    cluster: str
    group: str
    start: datetime
    end: datetime
    at_seconds: list[float]
    remaining_ratio: list[float]


def slo_item(status: SloStatus) -> SloItem:
    """From a status to its item."""
    return SloItem.model_validate(status_row(status))


def alert_item(alert: AlertRecord) -> AlertItem:
    """From a stored alert to its item."""
    return AlertItem.model_validate(alert_row(alert))


def burn_down_item(series: BurnDown) -> BurnDownItem:
    """From a series to its columns."""
    return BurnDownItem.model_validate(burn_down_rows(series))
