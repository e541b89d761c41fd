"""All that the demonstration saw, as one value: what the table and the HTML report are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.demo.verdict import Act, Check

__all__ = ["BudgetRow", "Mark", "Span", "Story"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """One SLO at the end."""

    name: str
    description: str
    target: str
    good: int
    bad: int
    total: int
    consumed_ratio: float  # of the budget of the whole window
    remaining_seconds: float
    telemetry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the timeline; ``lane`` is its row."""

    lane: str
    start: datetime
    end: datetime
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment on the timeline."""

    at: datetime
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """From the first probe to the last check."""

    started_at: datetime
    ended_at: datetime
    server: str  # "PostgreSQL 18.1"
    acts: Sequence[Act]
    budgets: Sequence[BudgetRow]
    checks: Sequence[Check]
    spans: Sequence[Span]
    marks: Sequence[Mark]
    page_delivery_seconds: float | None  # from the alert firing to its arrival
    detection_seconds: float | None  # from the first bad slot to the arrival of the page
    wall_seconds: float

    @property
    def is_proved(self) -> bool:
        """Whether every promise was kept."""
        return all(one.is_kept for one in self.checks)
