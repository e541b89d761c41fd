"""One thing that is looked at before an experiment, and all that is known when they are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dbre.capabilities.chaos.surroundings import BackupWord, Burn, HealthWord, IncidentWord
from dbre.capabilities.chaos.switching.switch import Switch

__all__ = ["Check", "Facts", "Places"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, and whether it is as it has to be."""

    name: str
    holds: bool | None  # None: nobody can tell
    seen: str  # with numbers and units
    limit: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "holds": self.holds, "seen": self.seen, "limit": self.limit, "remedy": self.remedy or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Sessions of one server."""

    used: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was read. What could not be is None, and ``unknown`` says why."""

    now: datetime
    answers: Mapping[str, str | None]  # each instance's word of itself; None: it does not answer
    switch: Switch | None = None
    health: HealthWord | None = None
    backups: BackupWord | None = None
    incidents: Sequence[IncidentWord] | None = None
    burns: Mapping[str, Burn] | None = None
    operations: Sequence[str] = ()  # others that are at work on the cluster, in words
    places: Mapping[str, Places] = field(default_factory=dict)  # of instances whose places are to be taken
    leftovers: Sequence[str] = ()  # faults that are still there, in words
    unknown: Mapping[str, str] = field(default_factory=dict)  # which fact: why it is not known
