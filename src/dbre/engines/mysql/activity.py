"""Facet ``activity`` of MySQL and MariaDB: what sessions are doing now."""

from collections.abc import Sequence

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.link import Conversation, Link
from dbre.engines.mysql.session import server_time
from dbre.ports.activity import ActivitySummary, SessionInfo

__all__ = ["MySqlActivity"]

_IDLE = "Sleep"


class MySqlActivity:
    """Implements ``ports.activity``. Programs' names are not shown: they need performance_schema, which MariaDB leaves off."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def summary(self) -> ActivitySummary:
        """Count the sessions by what the server calls their command: Query, Sleep, ..."""
        return await self._link.ask(_summary)

    async def sessions(self, *, limit: int) -> Sequence[SessionInfo]:
        """The sessions that have been busy longest: open transactions first, then running statements, then idle ones."""

        async def ask(conversation: Conversation) -> Sequence[SessionInfo]:
            rows = await conversation.rows("sessions", conversation.own_sessions, limit)
            return [_session(row) for row in rows]

        return await self._link.ask(ask)


async def _summary(conversation: Conversation) -> ActivitySummary:
    own = conversation.own_sessions
    states = await conversation.rows("sessions_by_state", own)
    found = await conversation.row("activity_summary", own)
    return ActivitySummary(
        sessions_by_state={row["state"]: int(row["sessions"]) for row in states},
        max_sessions=int(found["max_sessions"]),
        blocked_sessions=int(found["blocked_sessions"]),
        longest_transaction_seconds=_seconds(found["longest_transaction_seconds"]),
        measured_at=server_time(found["measured_at"]),
    )


def _session(row: Row) -> SessionInfo:
    is_idle = row["command"] == _IDLE
    return SessionInfo(
        session_id=str(row["session_id"]),
        user=row["login"],
        database=row["database_name"],
        application_name=None,
        client_address=row["client_address"] or None,
        state=row["command"],
        wait_event=row["state"] or None,
        transaction_seconds=_seconds(row["transaction_seconds"]),
        query_seconds=None if is_idle else _seconds(row["state_seconds"]),
        blocked_by=tuple(str(row["blocked_by"]).split(",")) if row["blocked_by"] else (),
        query_text=row["query_text"],
    )


def _seconds(value: object) -> float | None:
    return None if value is None else max(0.0, float(str(value)))
