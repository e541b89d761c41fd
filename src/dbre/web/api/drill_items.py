"""What the API says of failovers that were drilled."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from dbre.capabilities.ha.drills.summary import DrillSummary, drill_row
from dbre.capabilities.ha.drills.view import run_row

__all__ = ["DrillItem", "DrillReportItem", "DrillRunItem"]


class DrillItem(BaseModel):
    """One drill: what clients saw over all of its runs; null is unknown."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    cluster: str
    kind: str
    by: str
    runs: int
    p50_seconds: float | None
    p95_seconds: float | None
    max_seconds: float | None
    promised_seconds: float | None
    failed: int
    lost: int
    unjudged: int
    old_acknowledged: int
    problems: list[str]
    began_at: datetime

    @classmethod
    def of(cls, drill: DrillSummary) -> Self:
        """One drill as an item."""
        return cls.model_validate(drill_row(drill))


class DrillRunItem(BaseModel):
    """One run; seconds count from the fault."""

    number: int
    old_primary: str
    new_primary: str | None
    began_at: datetime
    fault_at: datetime | None
    outage_seconds: float | None
    is_outage_open: bool
    predicted_least_seconds: float | None
    predicted_most_seconds: float | None
    noticed_seconds: float | None
    promoted_seconds: float | None
    redundancy_seconds: float | None
    acknowledged: int
    lost: int | None
    old_acknowledged: int | None
    overlap: int | None
    verdict: str
    failure: str | None
    problems: str
    warnings: list[str]
    history: str | None


class DrillReportItem(DrillItem):
    """One drill, run by run, with the interval that holds the median outage with 95 % certainty."""

    median_interval_seconds: tuple[float, float] | None
    measured: list[DrillRunItem]

    @classmethod
    def of(cls, drill: DrillSummary) -> Self:
        """With its runs."""
        measured = [run_row(one) for one in drill.runs]
        return cls.model_validate({**drill_row(drill), "median_interval_seconds": drill.outages.interval, "measured": measured})
