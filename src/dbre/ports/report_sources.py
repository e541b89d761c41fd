"""What reports are made of: facts of incidents and SLOs, handed in by the composition root."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

__all__ = ["IncidentFact", "ReportSources", "SloFact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFact:
    """The moments of one incident that was a failure; None: it has not come to that, or nobody knows."""

    id: str
    name: str
    title: str
    severity: str  # sev1 .. sev4
    cluster: str  # empty: of no cluster of the inventory
    clusters: tuple[str, ...]
    slo: str  # of the alert that opened it; empty: a person did
    started_at: datetime  # when users began to suffer
    detected_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    cost: Fraction | None  # share of an error budget
    assignee: str = ""  # who acknowledged it last; empty: nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class SloFact:
    """One SLO instance over a span of time."""

    id: str
    cluster: str
    objective: Decimal
    good: int  # of the span
    total: int  # valid events of the span
    remaining_ratio: Fraction | None  # of its error budget, at the end of the span; None: nothing was measured

    @property
    def ratio(self) -> Fraction | None:
        """The SLI over the span, exact; None where there was no valid event."""
        return Fraction(self.good, self.total) if self.total else None

    @property
    def is_met(self) -> bool | None:
        """Whether the span met the objective; None where nobody knows."""
        ratio = self.ratio
        return None if ratio is None else ratio >= Fraction(self.objective)

    @property
    def burn_rate(self) -> Fraction | None:
        """How fast the span spent budget; 1 spends all of it in exactly one compliance period."""
        ratio = self.ratio
        allowed = 1 - Fraction(self.objective)
        return None if ratio is None or not allowed else (1 - ratio) / allowed


class ReportSources(Protocol):
    """Who knows what happened."""

    async def incidents(self, *, since: datetime, until: datetime) -> Sequence[IncidentFact]:
        """The incidents that began in a span of time, the oldest first."""
        ...

    async def compliance(self, *, since: datetime, until: datetime) -> Sequence[SloFact]:
        """Every SLO instance over a span of time, in the order of the configuration."""
        ...
