"""The shape of incident documents, for the API's own description; the values are the rows that ``dbre incident`` prints."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.incident.desk import LONGEST_TEXT

__all__ = [
    "DeployBody",
    "DutyItem",
    "HeardItem",
    "IncidentActionItem",
    "IncidentAlertItem",
    "IncidentCostItem",
    "IncidentDetailItem",
    "IncidentItem",
    "MoveBody",
    "NoteBody",
    "PostmortemItem",
    "TimelineItem",
]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a new key of a row is described here, or it is an error in the tests


class IncidentItem(_Item):
    """One incident; moments that have not come are null."""

    name: str
    id: str
    title: str
    state: str
    severity: Literal["sev1", "sev2", "sev3", "sev4"]
    urgency: Literal["page", "ticket"]
    cluster: str | None
    slo: str | None
    group: str | None
    opened_by: str
    assignee: str | None
    started_at: datetime
    detected_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    is_open: bool
    duration_seconds: float | None
    detect_seconds: float
    acknowledge_seconds: float | None
    budget_consumed_ratio: float | None
    bad_events: int
    merged_into: str | None
    reopened_count: int
    has_data_loss: bool
    root_cause: str | None
    next_states: list[str]


class IncidentAlertItem(_Item):
    """One alert of an incident."""

    alert_id: str
    instance: str
    rule: str
    severity: str
    burn_rate: float | None
    fired_at: datetime
    resolved_at: datetime | None


class TimelineItem(_Item):
    """One line of a timeline: when it happened, and when it was heard of."""

    at: datetime
    recorded_at: datetime
    kind: str
    actor: str | None
    text: str
    details: dict[str, Any]


class IncidentCostItem(_Item):
    """What one SLO counted in an incident, and the part of its whole budget that went with it."""

    instance: str
    good: int
    bad: int
    consumed_ratio: float | None
    consumed_exact: str | None


class IncidentActionItem(_Item):
    """One thing that was promised after an incident."""

    name: str
    incident: str
    title: str
    kind: Literal["prevent", "detect", "mitigate"]
    owner: str
    due: date
    state: Literal["open", "done", "dropped"]
    is_overdue: bool
    reference: str | None
    created_at: datetime
    created_by: str
    ended_at: datetime | None
    ended_by: str | None
    ended_note: str | None


class PostmortemItem(_Item):
    """The newest revision of a postmortem; the text is Markdown."""

    revision: int
    at: datetime
    author: str
    sha256: str
    is_intact: bool
    text: str


class IncidentDetailItem(IncidentItem):
    """One incident with its alerts, its timeline, what it cost and what follows; ``costs`` null: not measured in time."""

    alerts: list[IncidentAlertItem]
    timeline: list[TimelineItem]
    costs: list[IncidentCostItem] | None
    actions: list[IncidentActionItem]
    postmortem_required: list[str] = Field(description="Why a postmortem is required; empty: it is not.")
    postmortem: PostmortemItem | None


class MoveBody(_Item):
    """The state that an incident goes to."""

    state: str = Field(max_length=40, description="One of next_states.")
    text: str = Field("", max_length=LONGEST_TEXT)


class NoteBody(_Item):
    """A line for the timeline."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class DeployBody(_Item):
    """Something was deployed just now."""

    cluster: str = Field(max_length=200)
    what: str = Field(min_length=1, max_length=200)
    version: str = Field("", max_length=100)
    note: str = Field("", max_length=1_000)


class DutyItem(_Item):
    """Who is on call by one schedule; null: nobody."""

    schedule: str
    person: str | None
    until: datetime | None
    source: str | None


class HeardItem(_Item):
    """What a webhook of an Alertmanager brought."""

    fired: int
    resolved: int
    known: int
