"""What a server keeps of its log for us, and what files of its log say of themselves: for those who keep the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from dbre.ports.backup.model import LogPosition, Problem
from dbre.ports.engine import Access

__all__ = ["BacklogState", "Departure", "HasLogSource", "LogBacklog", "LogSource"]


class BacklogState(StrEnum):
    """Whether the log from where we stand is still on the server."""

    KEPT = "kept"  # it is there, and stays
    AT_RISK = "at_risk"  # it is there; the server may remove it at the next checkpoint
    LOST = "lost"  # the server removed what we had not received: a gap
    ABSENT = "absent"  # nothing is kept for us: no slot of that name


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBacklog:
    """What a server keeps for one receiver."""

    state: BacklogState
    position: LogPosition  # where the log ends now
    kept_from: LogPosition | None  # the oldest that is kept for us
    kept_bytes: int | None  # from there to the end
    safe_bytes: int | None  # so much may still be written before it is removed; None: without limit, or not known
    is_active: bool | None  # somebody receives; None: the server does not know receivers
    active_by: str | None  # who, as the server sees it: address and name of the session
    flushed: LogPosition | None  # up to where that receiver said that it is durable; None: none receives, or it did not say
    archived: str | None = None  # newest log file that the server's own archiving ended with success
    archive_failed: str | None = None  # the file on which it failed after that; None: it works
    change_mark: str | None = None  # another text whenever a transaction wrote; None: the position has to tell
    problems: tuple[Problem, ...] = ()  # why the server may not keep its log long enough, or keeps too much of it


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a timeline left its parent, as a history file tells."""

    timeline: int
    parent: int
    at: int  # LogPosition.value


class LogSource(Protocol):
    """Methods with I/O raise Unreachable, Denied, Unsupported."""

    async def backlog(self, name: str) -> LogBacklog:
        """What is kept for the receiver of that name."""
        ...

    async def release(self, name: str) -> None:
        """Let the server keep nothing for that receiver any more; nothing happens where there is no such. Opens a gap."""
        ...

    async def end_file(self) -> LogPosition:
        """End the present log file, so that it can be sealed; nothing happens where nothing was written into it."""
        ...

    def departures(self, name: str, content: bytes) -> Sequence[Departure]:
        """What a history file says, oldest first. Raises: Conflict where it is none."""
        ...

    def system_of(self, path: Path) -> str | None:
        """Whose log file it is by its own header; None where files do not say. Raises: Conflict where it is no log file."""
        ...

    def is_whole(self, path: Path) -> bool:
        """Whether a file of the spool is finished: nothing will be added to it."""
        ...

    def is_dispensable(self, name: str) -> bool:
        """Whether a server hands over files of that name which no recovery needs."""
        ...


@runtime_checkable
class HasLogSource(Protocol):
    """A BackupPort whose engine has a log that can be kept."""

    def log_source(self, source: Access) -> LogSource:
        """The log of one server; does no I/O yet."""
        ...
