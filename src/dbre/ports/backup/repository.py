"""A repository of backups that another tool keeps: pgBackRest, Barman, RMAN, ..."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyKind, LogFile, LogPosition, Problem, RecoveryTarget, Tool, Verified

__all__ = ["ForeignRepository", "ForeignSet", "RepositoryFacts"]


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
class RepositoryFacts:
    """What is in a repository; gaps are computed by us, never believed."""

    tool: Tool
    sets: tuple[ForeignSet, ...]  # oldest first
    logs: tuple[LogFile, ...]  # every log file that is really there, in order
    problems: tuple[Problem, ...]  # also what the tool's own check says


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
        """Let the tool restore a set into a new directory, not started; its log is fetched with ``log``."""
        ...

    async def fetch(self, name: str, into: Path) -> bool:
        """One log file (``LogFetch``)."""
        ...

    async def expire(self, *, dry_run: bool) -> Sequence[str]:
        """Let the tool delete what its own retention no longer keeps; the labels that go."""
        ...
