"""Facet ``activity``: what sessions are doing now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ActivityPort", "ActivitySummary", "SessionInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySummary:
    """All client sessions of an instance at one moment, counted."""

    sessions_by_state: Mapping[str, int]  # the engine's own words: active, idle, idle in transaction, ...
    max_sessions: int  # the server's limit
    blocked_sessions: int | None  # waiting for a lock; None: the engine cannot tell
    longest_transaction_seconds: float | None  # None: no transaction is open, or the engine has none
    measured_at: datetime  # server clock, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One client session. ``query_text`` is hostile text and may hold personal data: shown on request only."""

    session_id: str
    user: str | None
    database: str | None
    application_name: str | None
    client_address: str | None
    state: str
    wait_event: str | None
    transaction_seconds: float | None
    query_seconds: float | None
    blocked_by: tuple[str, ...]
    query_text: str | None


class ActivityPort(Protocol):
    """What sessions are doing now."""

    async def summary(self) -> ActivitySummary:
        """Count the sessions, except our own."""
        ...

    async def sessions(self, *, limit: int) -> Sequence[SessionInfo]:
        """The sessions that have been busy longest, at most ``limit``, except our own."""
        ...
