"""What experiments ask of the rest of an installation: budgets, incidents, backups, health. The composition root answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

__all__ = ["Around", "BackupWord", "Burn", "HealthWord", "IncidentWord", "Surroundings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One objective on one cluster at one moment."""

    rate: float | None  # over the shortest window of its alert rules; None: not known
    is_paging: bool | None  # None: not known
    remaining: float | None = None  # share of the error budget that is left; None: nothing was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentWord:
    """One incident that is not over."""

    name: str
    title: str
    severity: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupWord:
    """What is known of a cluster's backups."""

    has_policy: bool
    newest_at: datetime | None  # when the newest set that can be restored was sealed; None: there is none
    proven_at: datetime | None  # when a restore was last proved; None: never
    failed: str | None  # why the latest drill failed; None: it did not


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthWord:
    """Who is there, by a sweep of the cluster."""

    primaries: tuple[str, ...]
    replicating: tuple[str, ...]  # replicas whose stream is connected
    troubles: tuple[str, ...]  # findings that are errors, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What SLOs counted in one span of time, and the incidents that began in it; as JSON, for reports."""

    slos: Sequence[Mapping[str, Any]]  # slo, objective_ratio, good, total, ratio, remaining_ratio
    incidents: Sequence[Mapping[str, Any]]  # name, title, severity, started_at, detected_at
    signs: Sequence[Mapping[str, Any]] = ()  # by, at: alerts that fired, failovers that were begun


class Surroundings(Protocol):
    """Answers for one cluster by its name. Raises: DbreError where it cannot be read."""

    async def burns(self, cluster: str) -> Mapping[str, Burn]:
        """Every SLO of the cluster now, by name; empty: it has none."""
        ...

    async def incidents(self, cluster: str) -> Sequence[IncidentWord]:
        """Those that are not over."""
        ...

    async def backups(self, cluster: str) -> BackupWord:
        """How old backups and proofs are."""
        ...

    async def health(self, cluster: str) -> HealthWord:
        """Who is primary, who replicates, what is wrong."""
        ...

    async def bereft(self, cluster: str) -> Sequence[str]:
        """Observers by whose newest report the primary gives no sign of life, while others do."""
        ...

    async def around(self, cluster: str, *, since: datetime, until: datetime) -> Around:
        """SLOs and incidents of a span of time."""
        ...
