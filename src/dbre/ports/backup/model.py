"""Values of backups that are the same for every engine: positions, copies, faults, targets, outcomes. All times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dbre.core.fleet import Address
from dbre.core.programs.account import Account

__all__ = [
    "ChecksumState",
    "CopyFacts",
    "CopyFault",
    "CopyKind",
    "CopyOrder",
    "LogFile",
    "LogKind",
    "LogPosition",
    "ParentCopy",
    "Phase",
    "Place",
    "Problem",
    "RecoveryOutcome",
    "RecoveryTarget",
    "SourceSurvey",
    "TargetKind",
    "Tool",
    "Verified",
]


class CopyKind(StrEnum):
    """How a set was made."""

    FULL = "full"
    INCREMENTAL = "incremental"  # what changed since its parent
    DIFFERENTIAL = "differential"  # what changed since the last full
    LOGICAL = "logical"  # statements or rows, not files of the server
    SNAPSHOT = "snapshot"  # one consistent file: an RDB of Redis


class LogKind(StrEnum):
    """A file of the stream of changes."""

    SEGMENT = "segment"  # WAL segment, binary log file, incremental part of an AOF
    PARTIAL = "partial"  # the one that is still written
    HISTORY = "history"  # where a timeline left its parent


class ChecksumState(StrEnum):
    """What the copy said about page checksums."""

    GOOD = "good"  # every page was checked
    BAD = "bad"  # at least one page is damaged
    OFF = "off"  # the source has none
    UNCHECKED = "unchecked"  # the source may have them; nobody looked


@dataclass(frozen=True, slots=True, order=True)
class LogPosition:
    """A place in the stream of changes of one server: ordered within a timeline, and along a line of descent.

    ``value`` is the LSN as an integer (PostgreSQL), file number * 2**32 + offset (MariaDB, MySQL, Redis AOF).
    """

    timeline: int
    value: int
    text: str = field(compare=False)  # as the engine writes it: 0/3000028, binlog.000004:328


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and as whom programs of the engine run."""

    account: Account  # database servers refuse root
    cache: Path  # for copied binaries
    bindir: Path | None = None  # the operator's choice; None: look for the best


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One program that backups need, as it was found on this machine."""

    name: str  # pg_basebackup
    version: str | None  # None: it is missing or does not run
    path: str | None
    problem: str | None  # why it cannot be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that stands in the way, told when planning."""

    rule: str  # backup.no_replication_privilege
    message: str  # what, where, with numbers and units
    hint: str
    is_blocking: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSurvey:
    """What a server says of itself before it is copied; nothing was changed to learn it."""

    product: str
    version: tuple[int, ...]
    version_text: str
    system_id: str  # names the data through its whole life: system_identifier, server uuid, replication id
    timeline: int
    position: LogPosition | None  # of the last change, None where there is no log
    server_time: datetime
    is_replica: bool
    data_bytes: int | None  # size of what a full copy reads
    has_checksums: bool | None
    can_increment: bool
    why_no_increment: str | None
    segment_bytes: int | None  # size of a log file, where it is fixed
    increments_from: LogPosition | None = None  # a parent that begins before has no increments any more; None: not known
    extensions: tuple[str, ...] = ()  # name and version of what a restored server must have
    preload: tuple[str, ...] = ()  # libraries that it loads at start
    tablespaces: Mapping[str, str] = field(default_factory=dict)  # identifier -> directory outside of the data directory
    settings: Mapping[str, str] = field(default_factory=dict)  # those that matter to backups, by name
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentCopy:
    """The set on which an incremental stands."""

    set_id: str
    manifest: Path  # as its copy left it


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOrder:
    """What is to be copied to where."""

    set_id: str  # also the label on the server
    kind: CopyKind
    directory: Path  # exists, empty, owned by the place's account; what is in it after a failure is worthless
    parent: ParentCopy | None = None  # for incremental and differential
    includes_log: bool = False  # also the log that makes it consistent; otherwise the archive must have it
    bytes_per_second: int | None = None
    verifies_checksums: bool = True
    databases: tuple[str, ...] = ()  # logical only; empty: all


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFacts:
    """What a finished copy is."""

    kind: CopyKind
    system_id: str
    start: LogPosition | None  # recovery begins here; None where there is no log
    stop: LogPosition | None  # from here on it is consistent
    started_at: datetime  # of the server's clock
    stopped_at: datetime
    bytes: int
    files: int
    manifest: Path | None  # inside the directory; kept separately by the vault as well
    checksums: ChecksumState
    tool: str  # pg_basebackup (PostgreSQL) 18.4
    product: str
    version_text: str
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON; what recovery by this engine needs besides


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFault:
    """One thing that is wrong with a copy or with log files. ``rule`` names the kind of damage."""

    rule: str  # missing_file, extra_file, size, checksum, manifest, wrong_system, log_gap, log_damaged, log_conflict, ...
    subject: str  # path in the set, or name of the log file; hostile text, escaped when shown
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at, and what was wrong with it."""

    files: int
    bytes: int
    seconds: float
    faults: tuple[CopyFault, ...]
    remarks: tuple[str, ...] = ()  # what was compared by less than a cryptographic checksum, as nothing better was there

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file of the stream of changes, wherever it lies. The range is half open: it ends where the next one begins."""

    name: str  # as the engine calls it: 000000010000000000000003, binlog.000004
    kind: LogKind
    timeline: int
    start: int  # LogPosition.value
    end: int
    size: int
    sha256: str


class TargetKind(StrEnum):
    """Up to where changes are replayed."""

    TIME = "time"
    POSITION = "position"  # LSN, binlog file and offset
    TRANSACTION = "transaction"  # xid, GTID
    NAME = "name"  # a restore point
    LATEST = "latest"  # all that there is
    IMMEDIATE = "immediate"  # as soon as it is consistent


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryTarget:
    """Up to where changes are replayed, on which timeline."""

    kind: TargetKind
    at: datetime | None = None  # aware; for TIME
    value: str | None = None  # for POSITION, TRANSACTION and NAME, in the engine's words
    is_inclusive: bool = True
    timeline: int | None = None  # None: the newest that descends from the set


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How long one part of a restore took, and how many bytes it handled (None where that says nothing)."""

    name: str  # provision, fetch, verify, combine, start, replay, promote, check
    seconds: float
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOutcome:
    """Where recovery ended, and why there."""

    has_reached_target: bool  # False: it ended because the log ended, or it is not known
    reason: str  # the server's own words: "recovery stopping before commit of transaction 742"
    position: LogPosition | None  # of the last change that was replayed
    last_commit_at: datetime | None
    timeline: int
    phases: tuple[Phase, ...]
    address: Address  # a unix socket directory, or a port of loopback inside the jail
    is_jailed: bool  # nothing outside of its network namespace can reach it, and it can reach nothing
    jail: Mapping[str, str] = field(default_factory=dict)  # what holds it, for the evidence: network, listeners, settings
