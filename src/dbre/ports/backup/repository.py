"""A repository of backups that another tool keeps: pgBackRest, Barman, RMAN, ..."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyKind, LogFile, LogPosition, Problem, RecoveryTarget, Tool, Verified

__all__ = ["ForeignLog", "ForeignRepository", "ForeignSet", "ForeignSwitch", "RepositoryFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSet:
    """One backup in a repository of another tool."""

    label: str  # as the tool names it
    kind: CopyKind
    parent: str | None  # label of what it needs
    system_id: str
    start: LogPosition | None
    stop: LogPosition | None
    started_at: datetime
    stopped_at: datetime
    bytes_source: int | None
    bytes_stored: int | None
    error: str | None  # what the tool itself says is wrong with it
    version_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLog:
    """One log file in a repository of another tool."""

    system_id: str
    file: LogFile  # ``sha256`` is empty: to know it one would have to read the file; ``size`` is as stored, 0 if unknown
    stored_at: datetime | None  # when the tool put it there


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSwitch:
    """Where a timeline left its parent, read from a history file of the repository."""

    system_id: str
    timeline: int
    parent: int
    at: int  # LogPosition.value on the parent


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFacts:
    """What is in a repository; gaps are computed by us, never believed."""

    tool: Tool
    sets: tuple[ForeignSet, ...]  # oldest first
    logs: tuple[ForeignLog, ...]  # every log file that is really there, in order
    problems: tuple[Problem, ...]  # also what the tool's own check says
    switches: tuple[ForeignSwitch, ...] = ()
    segment_bytes: int | None = None  # size of a log file, where it is fixed


class ForeignRepository(Protocol):
    """One repository (a stanza, a server, a catalog). Methods raise ProgramFailed, Unsupported."""

    @property
    def tool(self) -> str:
        """Name of the tool: pgbackrest."""
        ...

    @property
    def engine(self) -> str:
        """Engine of what is backed up there."""
        ...

    @property
    def is_proved(self) -> bool:
        """Whether our tests ran this adapter on a real server."""
        ...

    @property
    def recovery_settings(self) -> tuple[tuple[str, str], ...]:
        """Settings without which a server does not recover from what the tool restored."""
        ...

    async def look(self) -> RepositoryFacts:
        """Read what is there."""
        ...

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """Let the tool make a backup; it is not proved by that."""
        ...

    async def verify(self, label: str | None = None) -> Verified:
        """Let the tool verify, and read what it says rather than how it ends."""
        ...

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:
        """Let the tool restore a set into a new directory, not started; its log is fetched with ``fetch``."""
        ...

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:
        """One log file (``LogFetch``); of which server, where the repository has the log of several."""
        ...

    async def expire(self, *, dry_run: bool) -> Sequence[str]:
        """Let the tool delete what its own retention no longer keeps; the labels that go."""
        ...
