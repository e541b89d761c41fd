"""What is known of backups: sets, log files, timelines, gaps, drills. All times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition, Phase
from dbre.ports.restored_checks import RestoredResult

__all__ = [
    "BackupSet",
    "Catalog",
    "Drill",
    "DrillVerdict",
    "EscrowTrial",
    "LogState",
    "RecoveryGap",
    "RecoveryInterval",
    "SetState",
    "StoredLog",
    "TimelineSwitch",
    "WitnessedCanary",
]


class SetState(StrEnum):
    """How far a set has come; only a sealed one can be restored from (backup.md 4.2)."""

    RUNNING = "running"
    COPIED = "copied"
    VERIFIED = "verified"  # every file equals the manifest
    SEALED = "sealed"  # in every vault that its policy names, with all log that makes it consistent
    FAILED = "failed"
    ORPHANED = "orphaned"  # who made it died; its parts are collected by expiry
    TOMBSTONED = "tombstoned"  # expired, not deleted yet
    DELETED = "deleted"


class LogState(StrEnum):
    """Where a log file has come to."""

    RECEIVED = "received"  # complete and durable in the spool
    VAULTED = "vaulted"  # in every vault of its policy
    VERIFIED = "verified"  # read back, its records checked
    LOST = "lost"  # known to have been written by the server, and nowhere to be had
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSet:
    """One copy of one server. ``id`` is a ULID-like sortable text: it names the set in every vault and on the server."""

    id: str
    cluster: str
    engine: str
    policy: str
    provider: str  # native, dump, pgbackrest, barman
    system_id: str
    kind: CopyKind
    parent_id: str | None
    state: SetState
    start: LogPosition | None
    stop: LogPosition | None
    started_at: datetime
    stopped_at: datetime | None
    version_text: str
    tool: str
    checksums: ChecksumState
    bytes_source: int
    bytes_stored: int | None
    manifest_sha256: str | None
    vaults: tuple[str, ...] = ()  # where it lies, complete
    proven_at: datetime | None = None  # end of the newest drill that passed with it
    hold: str | None = None  # why it must be kept whatever the retention says
    lock_until: datetime | None = None  # before this no vault lets it be deleted
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON: extensions, tablespaces, settings of the source
    operation_id: UUID | None = None

    @property
    def holds_its_log(self) -> bool:
        """Whether the log that makes it consistent lies in the set itself."""
        return bool(self.details.get("includes_log"))

    @property
    def needs_log_from(self) -> LogPosition | None:
        """From where on log of the vaults is read to go on from it; a set that holds its own log needs none before its stop."""
        return self.stop if self.holds_its_log else self.start

    @property
    def timeline(self) -> int | None:
        """The timeline on which it was taken."""
        return self.stop.timeline if self.stop is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLog:
    """One log file and where it has come to."""

    cluster: str
    system_id: str
    file: LogFile
    state: LogState
    received_at: datetime
    last_commit_at: datetime | None = None  # of the newest commit in it, where that is known
    vaults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSwitch:
    """Where a timeline left its parent (a line of PostgreSQL's history file)."""

    system_id: str
    timeline: int
    parent: int
    at: int  # LogPosition.value on the parent


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryGap:
    """A part of the log that is missing for good, with what was done about it."""

    id: UUID
    cluster: str
    system_id: str
    timeline: int
    start: int
    end: int | None  # None: until the next full copy
    began_at: datetime
    ended_at: datetime | None
    reason: str
    remedy: str  # the operation that closes it, or why there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryInterval:
    """Every moment in it can be recovered."""

    cluster: str
    system_id: str
    timeline: int
    start: LogPosition
    end: LogPosition
    start_at: datetime | None  # None: not known, never guessed
    end_at: datetime | None
    set_ids: tuple[str, ...]  # sets from which it is recovered, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All that a planner needs to know of one cluster's backups; from the state store, or from a vault alone."""

    sets: tuple[BackupSet, ...]  # by started_at
    logs: tuple[StoredLog, ...]
    switches: tuple[TimelineSwitch, ...]
    gaps: tuple[RecoveryGap, ...] = ()

    def get(self, set_id: str) -> BackupSet | None:
        """The set of that id."""
        return next((one for one in self.sets if one.id == set_id), None)

    def histories(self) -> tuple[StoredLog, ...]:
        """The history files among the log."""
        return tuple(one for one in self.logs if one.file.kind is LogKind.HISTORY)


class DrillVerdict(StrEnum):
    """What a drill proved."""

    PASS = "pass"  # noqa: S105 -- the opposite of fail
    FAIL = "fail"  # the backup is not what it should be
    INCONCLUSIVE = "inconclusive"  # nothing speaks against it, but it could not be proved: a tool, an extension, space


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One restore that was made to prove something."""

    id: UUID
    cluster: str
    set_id: str | None
    system_id: str | None
    target_kind: str
    target_value: str | None
    mode: str  # fast, faithful: only a faithful one measures time
    started_at: datetime
    ended_at: datetime
    phases: tuple[Phase, ...]
    reached: LogPosition | None
    reached_commit_at: datetime | None
    results: tuple[RestoredResult, ...]
    recovery_point_seconds: float | None  # achieved RPO: how far behind the target the newest recovered change is
    recovery_time_seconds: float | None  # achieved RTO: sum of the phases of a faithful drill
    verdict: DrillVerdict
    reason: str
    level: str  # the highest level that passed: L0 to L6
    operation_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowTrial:
    """A trial of the key that is kept away from every machine, for the day when nothing else is left."""

    id: UUID
    vault: str
    recipient: str  # its public half
    at: datetime
    actor: str
    is_opened: bool
    reason: str  # why not; empty where it opened all
    set_ids: tuple[str, ...]  # opened: a set with all on which it stands
    log_name: str | None
    bytes: int  # decrypted
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedCanary:
    """A row that a cluster acknowledged, as we saw it at that time (backup.md 4.7)."""

    cluster: str
    sequence: int
    at: datetime  # of the server's clock, as acknowledged
    hash: str  # hexadecimal SHA-256 over the previous hash, sequence, time and nonce
    position: LogPosition | None
