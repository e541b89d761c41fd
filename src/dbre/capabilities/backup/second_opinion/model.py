"""What a second opinion on a repository says. ``None`` is unknown, never 0."""

from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.forecast.model import Forecast
from dbre.capabilities.backup.model import Catalog, RecoveryInterval
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.ports.backup.model import LogPosition, Problem, Tool, Verified
from dbre.ports.backup.repository import ForeignSet

__all__ = ["ForeignExposure", "LogHole", "Opinion", "SetOpinion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHole:
    """A part of the log that is in no file of the repository, with log on both sides of it."""

    system_id: str
    timeline: int
    start: LogPosition
    end: LogPosition
    files: int | None  # how many are missing; None where files have no fixed size


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOpinion:
    """One set, and whether it can be restored from as far as reading tells."""

    found: ForeignSet
    problem: str | None  # why it cannot; None: nothing speaks against it, and nothing has proved it either
    reaches: LogPosition | None  # how far its log goes without a hole


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignExposure:
    """What would be lost if the server burned down now and this repository were all that is left."""

    until: LogPosition | None  # where the log ends without a hole behind the newest usable set
    stored_at: datetime | None  # when the file that ends there was stored
    server: LogPosition | None  # where the server is now
    bytes: int | None
    seconds: float | None
    reason_unknown: str | None  # why bytes or seconds are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Everything that reading a repository tells."""

    repository: str  # as messages name it
    cluster: str
    engine: str
    is_proved: bool  # whether our tests ran the adapter on a real server
    tool: Tool
    catalog: Catalog
    sets: tuple[SetOpinion, ...]
    holes: tuple[LogHole, ...]
    intervals: tuple[RecoveryInterval, ...]
    exposure: ForeignExposure
    plan: RestorePlan | None  # for the latest moment; None: no set can be restored from
    forecast: Forecast | None
    problems: tuple[Problem, ...]  # ours and what the tool says
    verified: Verified | None = None  # None: nobody asked

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was looked at stands in the way of a recovery to any moment behind the oldest set."""
        blocking = any(one.is_blocking for one in self.problems)
        return not blocking and not self.holes and (self.verified is None or self.verified.is_good)
