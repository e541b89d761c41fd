"""What a retention keeps and what it removes, with the reason for every object."""

from dataclasses import dataclass
from enum import StrEnum

from dbre.capabilities.backup.model import BackupSet, StoredLog

__all__ = ["Fate", "LogDecision", "Objection", "RetentionPlan", "SetDecision"]


class Fate(StrEnum):
    """What becomes of a set."""

    KEEP = "keep"
    RETAINED_BY_LOCK = "retained_by_lock"  # no rule keeps it, but no vault lets it be deleted yet: no error
    TOMBSTONE = "tombstone"  # no rule keeps it any more: it is marked, and deleted after the grace
    IN_GRACE = "in_grace"  # marked already; a hold brings it back
    DELETE = "delete"  # the grace is over
    REVIVE = "revive"  # it was marked, and a rule keeps it again
    COLLECT = "collect"  # it never became a set: what is left of it is deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDecision:
    """What becomes of one set, and why."""

    set: BackupSet
    fate: Fate
    reasons: tuple[str, ...]  # every rule that keeps it; or the one why it goes

    @property
    def is_kept(self) -> bool:
        """Whether it can be restored from after this plan was carried out, for good."""
        return self.fate in {Fate.KEEP, Fate.RETAINED_BY_LOCK, Fate.REVIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDecision:
    """Whether one log file is kept, and why."""

    log: StoredLog
    is_kept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a plan must not be carried out as it is."""

    rule: str  # backup.expiry_share, backup.expiry_unproven
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What becomes of everything that a cluster has."""

    cluster: str
    sets: tuple[SetDecision, ...]  # by when they were begun
    logs: tuple[LogDecision, ...]  # in the catalog's order
    objections: tuple[Objection, ...]

    def having(self, *fates: Fate) -> tuple[BackupSet, ...]:
        """The sets with one of these fates."""
        return tuple(one.set for one in self.sets if one.fate in fates)

    @property
    def doomed_logs(self) -> tuple[StoredLog, ...]:
        """The log files that go."""
        return tuple(one.log for one in self.logs if not one.is_kept)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        idle = (Fate.KEEP, Fate.RETAINED_BY_LOCK, Fate.IN_GRACE)
        return all(one.fate in idle for one in self.sets) and not self.doomed_logs
