"""Facet ``activity`` of PostgreSQL: what client sessions are doing now."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from dbre.engines.postgres.link import Link
from dbre.ports.activity import ActivitySummary, SessionInfo

__all__ = ["PostgresActivity"]

_PREPARED_TRANSACTION = 0  # what pg_blocking_pids gives where no process holds the lock


class PostgresActivity:
    """Implements ``ports.activity``; background processes are not sessions, and the asking connection is left out."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def summary(self) -> ActivitySummary:
        """Count the sessions."""
        found = await self._link.ask(lambda conversation: conversation.row("activity_summary"))
        return ActivitySummary(
            sessions_by_state={str(state): int(count) for state, count in sorted(found.sessions_by_state.items())},
            max_sessions=found.max_sessions,
            blocked_sessions=found.blocked_sessions,
            longest_transaction_seconds=found.longest_transaction_seconds,
            measured_at=found.measured_at.astimezone(UTC),
        )

    async def sessions(self, *, limit: int) -> Sequence[SessionInfo]:
        """Open transactions first, the longest first; then idle sessions by the age of their last statement."""
        rows = await self._link.ask(lambda conversation: conversation.rows("activity_sessions", max(limit, 0)))
        return [_session(row) for row in rows]


def _session(row: Any) -> SessionInfo:
    return SessionInfo(
        session_id=str(row.pid),
        user=row.user_name,
        database=row.database_name,
        application_name=row.application_name or None,
        client_address=row.client_address,
        state=row.state,
        wait_event=row.wait_event,
        transaction_seconds=row.transaction_seconds,
        query_seconds=row.query_seconds,
        blocked_by=tuple(_blocker(pid) for pid in dict.fromkeys(row.blocked_by)),
        query_text=row.query_text or None,
    )


def _blocker(pid: int) -> str:
    return "prepared transaction" if pid == _PREPARED_TRANSACTION else str(pid)
