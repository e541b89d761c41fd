"""What an engine knows of copying its servers, of their log, and of bringing copies back to life."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dbre.ports.backup.model import (
    CopyFacts,
    CopyKind,
    CopyOrder,
    LogFile,
    LogPosition,
    Phase,
    Place,
    RecoveryOutcome,
    RecoveryTarget,
    SourceSurvey,
    Tool,
    Verified,
)
from dbre.ports.engine import Access

__all__ = [
    "BackupPort",
    "CopyProgress",
    "LogFetch",
    "LogReceiver",
    "ReceiveOrder",
    "RecoverOrder",
    "RecoveredServer",
]

CopyProgress = Callable[[int, int | None], Awaitable[None]]
"""Called now and then with bytes done and bytes in all (None: not known). It may raise, which ends the copy."""


class LogFetch(Protocol):
    """Where recovery gets log files from: an archive, a vault, a spool."""

    async def fetch(self, name: str, into: Path) -> bool:
        """Put the log file of that name at ``into``; False only where its absence is certain. Raises for everything else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveOrder:
    """How the log is received."""

    spool: Path  # finished and partial files; owned by the place's account
    name: str  # of the slot, and what the session calls itself
    is_synchronous: bool = False  # flush and confirm each write at once, so that commits may wait for it
    start: LogPosition | None = None  # None: where the spool ends, or now


class LogReceiver(Protocol):
    """Receives the log of one server until it is cancelled."""

    async def run(self) -> None:
        """Receive. Ends only by cancellation or with an error: Unreachable (try again), or Conflict (a gap: try nothing)."""
        ...

    def flushed(self) -> LogPosition | None:
        """Up to where the spool is durable on this machine; None: nothing was received yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOrder:
    """How a prepared data directory is brought to life."""

    directory: Path  # from ``assemble``; nothing else uses it
    target: RecoveryTarget
    log: LogFetch | None  # None: no log beyond what the directory holds
    version: str | None = None  # version_text of the source; picks the binaries
    stays_at_target: bool = True  # stop there read-only; False: go on to take writes (promote)
    is_faithful: bool = True  # False: trade durability for speed (a drill that is no measure of time)
    jail: bool = True  # no listener, no network, no archiving, no subscriptions, no scheduled jobs
    extra_settings: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 86_400.0


class RecoveredServer(Protocol):
    """A server that came out of a backup, running as a child of this process."""

    @property
    def access(self) -> Access:
        """How to log in as a role that may read everything; from within this process only."""
        ...

    @property
    def outcome(self) -> RecoveryOutcome:
        """Where recovery ended."""
        ...

    async def promote(self) -> Phase:
        """Let it take writes on a timeline of its own; returns when a write was committed."""
        ...

    async def stop(self, *, keep: bool) -> None:
        """Stop it cleanly; ``keep`` leaves a data directory that starts without any trace of the jail, else it is worthless."""
        ...


class BackupPort(Protocol):
    """Copies of one engine. Methods raise Unreachable, Denied, Unsupported, ProgramFailed; none leaves a process behind."""

    @property
    def engine(self) -> str:
        """The engine's name in configuration."""
        ...

    def kinds(self) -> Sequence[CopyKind]:
        """Kinds of copy that it can make at all."""
        ...

    async def tools(self, *, version: str | None = None) -> Sequence[Tool]:
        """The programs that backups of a server of that version need, each tried by asking for its version."""
        ...

    async def survey(self, source: Access) -> SourceSurvey:
        """Look at a server before it is copied; with every problem at once."""
        ...

    async def copy(self, source: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
        """Copy. What was copied is not verified yet, and never trusted because a program ended with 0."""
        ...

    async def facts(self, directory: Path) -> CopyFacts:
        """What a copy that lies in a directory says of itself. Raises: Conflict where it is none or contradicts itself."""
        ...

    async def verify(self, directory: Path, *, manifest: Path | None = None) -> Verified:
        """Compare every file with the manifest (level L1); every mutation of file or manifest is a fault."""
        ...

    async def assemble(
        self, chain: Sequence[Path], target: Path, progress: CopyProgress, *, may_move: bool = False
    ) -> Sequence[Phase]:
        """Make one data directory of a verified full copy and its incrementals, oldest first; the copies stay as they are.

        ``may_move``: nobody needs the only member of a chain afterwards, so it may become the directory.
        """
        ...

    def log_file(self, name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:
        """What the name of a log file says; None where it names none."""
        ...

    def parse_position(self, text: str, *, timeline: int) -> LogPosition:
        """A position as people and servers write it: 0/3000028, binlog.000004:328. Raises: UsageError."""
        ...

    def require_target(self, target: RecoveryTarget) -> None:
        """See, before anything is restored, that recovery can stop at such a target, and that its text names one.

        Raises: Unsupported for a kind that the engine lacks; UsageError for a text that is none of that kind.
        """
        ...

    async def scan_log(self, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
        """Read every record between two positions and check its CRC (level L2); ``files`` are in order and of one timeline."""
        ...

    def receiver(self, source: Access, order: ReceiveOrder) -> LogReceiver:
        """A receiver of the server's log; does no I/O yet. Raises: Unsupported where the engine has no such stream."""
        ...

    async def position(self, source: Access) -> LogPosition:
        """Where the server's log ends now, durably: what would be lost if it burned down, less what we have."""
        ...

    def recover(self, order: RecoverOrder) -> AbstractAsyncContextManager[RecoveredServer]:
        """Boot a prepared directory, replay up to the target, and give the server; it is stopped at the end.

        Raises: RecoveryFailed (``dbre.ports.backup.errors``) with the tail of the server's log; of these, TargetNotReached
        where the log ended first: then the same directory may be recovered again with ``TargetKind.LATEST``.
        """
        ...

    def watch(self, source: Access) -> "AsyncIterator[LogPosition]":
        """Positions of the server, one a second, for the clock that maps positions to times; ends when it is unreachable."""
        ...


class BackupEngine(Protocol):
    """An engine that can be backed up; ``Engine`` has these two methods too."""

    def backups(self, place: Place) -> BackupPort:
        """Copies of the server's files. Raises: Unsupported."""
        ...

    def dumps(self, place: Place) -> BackupPort:
        """Copies as statements or rows. Raises: Unsupported."""
        ...
