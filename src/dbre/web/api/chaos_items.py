"""What the API says of experiments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ReportItem", "RunItem", "ScoreEntryItem", "ScoreItem", "SwitchChange", "SwitchItem"]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SwitchItem(_Item):
    """Whether experiments may begin."""

    is_closed: bool
    by: str | None
    reason: str | None
    at: datetime | None
    words: str


class SwitchChange(_Item):
    """Why it is turned."""

    reason: str = Field(min_length=1, max_length=500)


class RunItem(_Item):
    """One experiment that was run; a score of null: it says nothing of the cluster."""

    id: UUID
    suite_id: UUID | None
    cluster: str
    title: str
    entry: str | None
    state: str
    began_at: datetime
    ended_at: datetime | None
    score_ratio: float | None


class ReportItem(RunItem):
    """The resilience report of one run."""

    question: str
    reason: str | None
    revert_seconds: float | None
    faults: list[dict[str, Any]]
    hypothesis: list[dict[str, Any]]
    slos: list[dict[str, Any]]
    is_final: bool
    detection: dict[str, Any]
    recovery: dict[str, Any]
    clients: dict[str, Any] | None
    score: dict[str, Any] | None
    findings: list[dict[str, Any]]
    comparison: dict[str, Any] | None


class ScoreEntryItem(_Item):
    """One question of the required catalogue."""

    entry: str
    question: str
    weight: float
    value_ratio: float | None
    runs: int
    last_run: UUID | None
    age_days: float | None
    fade_ratio: float
    half_width_ratio: float | None


class ScoreItem(_Item):
    """How well one cluster stands faults."""

    cluster: str
    score_points: float
    coverage_ratio: float
    half_width_points: float | None
    entries: list[ScoreEntryItem]
