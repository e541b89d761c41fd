"""Facet ``mischief``: what can be done to a server by asking it, on purpose, so that it can be undone (opt-in).

Each deed is four answers and a limit: what undoing will need (as a note that goes to disk before anything is done), the deed
itself, whether the server shows it, and the way back. A deed that holds sessions names them by its tag, so that they are
found again by whoever comes after; the server ends them by itself a minute after their time.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from dbre.core.errors import Unsupported

__all__ = ["BEYOND_SECONDS", "Deed", "DeedPort", "MischiefPort", "Seen", "unknown_deed"]

BEYOND_SECONDS = 60  # after its time the server itself ends a session that a deed holds


class Deed(StrEnum):
    """What can be done; each engine knows some."""

    LOCKS = "locks"  # a table is locked, and others wait for it
    IDLE_TRANSACTIONS = "idle-transactions"  # transactions that are begun and do nothing
    DEADLOCKS = "deadlocks"  # pairs of sessions that run into each other, again and again
    REPLAY_PAUSE = "replay-pause"  # a replica receives and does not replay
    REPLAY_DELAY = "replay-delay"  # a replica replays later
    ARCHIVE_FAILURE = "archive-failure"  # the server's log is not archived any more
    SLOT_LEAK = "slot-leak"  # log is kept for somebody who never comes
    END_SESSIONS = "end-sessions"  # sessions of clients are ended, again and again
    STALL_WRITES = "stall-writes"  # writes wait, reads are answered
    CERTIFICATE = "certificate"  # another certificate is shown


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server shows of a deed."""

    is_on: bool
    detail: str  # with numbers and units


class DeedPort(Protocol):
    """One deed on one server. Each method raises Unreachable, Denied or Unsupported as the facets do."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look, change nothing, and give as JSON all that the others need. Raises: PrecheckFailed, UsageError."""
        ...

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do it; gives the note, with what became known meanwhile."""
        ...

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Called each second while it is on."""
        ...

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask the server whether it is on."""
        ...

    async def end(self, note: Mapping[str, Any]) -> None:
        """Take it back; also by one who has not done it, and again."""
        ...


class MischiefPort(Protocol):
    """The deeds of one engine."""

    @property
    def deeds(self) -> Mapping[Deed, str]:
        """Those that there are, each with the privilege that it needs."""
        ...

    @property
    def stop_signal(self) -> signal.Signals:
        """By which the server's main process shuts down in order and ends its clients."""
        ...

    async def now(self) -> datetime:
        """What time the server takes it to be, in UTC."""
        ...

    def deed(self, deed: Deed, tag: str) -> DeedPort:
        """One of them; ``tag`` names what it makes on the server. Raises: Unsupported."""
        ...


def unknown_deed(product: str, deed: Deed, known: Mapping[Deed, str]) -> Unsupported:
    """The error for a deed that an engine does not know."""
    return Unsupported(f"{product} has no {deed}", hint=f"it has: {', '.join(known)}")
