"""What an incident did to users, as measured: asked of whoever keeps the counts, through this protocol."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Protocol

__all__ = ["ImpactSource", "Spent", "Unmeasured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one SLO instance counted between two moments, and the share of its whole budget that went with it."""

    instance: str  # slo@cluster or slo@cluster/group
    good: int
    bad: int
    consumed: Fraction | None  # of the budget of its whole window; None: the window allows nothing, or was not measured


class ImpactSource(Protocol):
    """Who keeps the counts of SLIs."""

    async def began(self, *, slo: str, cluster: str, group: str, fired_at: datetime, window_seconds: int) -> datetime | None:
        """When the bad events began that made an alert fire; None where none are stored."""
        ...

    async def spent(self, *, clusters: Collection[str], since: datetime, until: datetime) -> Sequence[Spent]:
        """What each SLO instance of some clusters counted, by name; those that counted nothing bad are left out."""
        ...


class Unmeasured:
    """An ``ImpactSource`` where nothing is measured."""

    async def began(self, *, slo: str, cluster: str, group: str, fired_at: datetime, window_seconds: int) -> datetime | None:  # noqa: ARG002 (of the protocol)
        """Nothing is stored."""
        return None

    async def spent(self, *, clusters: Collection[str], since: datetime, until: datetime) -> Sequence[Spent]:  # noqa: ARG002 (of the protocol)
        """Nothing is counted."""
        return ()
