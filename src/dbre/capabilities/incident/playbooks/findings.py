"""What answers of servers mean for somebody who was just woken up: pure rules."""

from collections.abc import Sequence
from datetime import datetime

from dbre.core.text import counted, one_line
from dbre.ports.activity import ActivitySummary, SessionInfo
from dbre.ports.replication import ReplicationStatus
from dbre.ports.session import Role, ServerIdentity
from dbre.ports.settings import Setting

__all__ = ["PRIMARY", "of_activity", "of_identity", "of_replication", "of_sessions", "of_settings"]

_NEARLY_FULL = 0.9  # of the sessions that the server takes
_LONG_SECONDS = 300.0
_LAG_SECONDS = 30.0
_LAG_BYTES = 64 * 1024 * 1024
_SHOWN = 5
_YOUNG_SECONDS = 900.0

PRIMARY = f"role {Role.PRIMARY.value}"
"""The line of an instance that says that it is primary."""


def of_identity(identity: ServerIdentity, *, now: datetime) -> list[str]:
    """What it is; a server that started a short while ago may have crashed, or was failed over."""
    said = [one_line(f"{identity.product} {identity.version_text}", limit=120), f"role {identity.role.value}"]
    if identity.is_read_only and identity.role is Role.PRIMARY:
        said.append("finding: it is primary, and takes no writes")
    seconds = None if identity.started_at is None else (now - identity.started_at).total_seconds()
    if seconds is not None and 0 <= seconds < _YOUNG_SECONDS:
        said.append(f"finding: it started {seconds:.0f} s ago")
    return said


def of_activity(summary: ActivitySummary) -> list[str]:
    """Sessions near the limit, sessions that wait for locks, a transaction that has been open for long."""
    total = sum(summary.sessions_by_state.values())
    states = ", ".join(f"{count} {state}" for state, count in sorted(summary.sessions_by_state.items()))
    said = [f"{total} of {summary.max_sessions} sessions ({one_line(states, limit=200)})"]
    if summary.max_sessions and total >= _NEARLY_FULL * summary.max_sessions:
        said.append(f"finding: nearly full: {total} of {summary.max_sessions} sessions are taken")
    if summary.blocked_sessions:
        said.append(f"finding: {counted(summary.blocked_sessions, 'session')} wait for locks")
    if summary.longest_transaction_seconds is not None and summary.longest_transaction_seconds >= _LONG_SECONDS:
        said.append(f"finding: a transaction has been open for {summary.longest_transaction_seconds:.0f} s")
    return said


def of_sessions(sessions: Sequence[SessionInfo]) -> list[str]:
    """Who blocks others, and who has been busy longest; never the text of a query, which may hold personal data."""
    blockers: dict[str, int] = {}
    for one in sessions:
        for session_id in one.blocked_by:
            blockers[session_id] = blockers.get(session_id, 0) + 1
    said = [
        f"finding: session {one_line(session_id, limit=40)} blocks {counted(count, 'session')}"
        for session_id, count in sorted(blockers.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
    ]
    for one in sessions[:_SHOWN]:
        seconds = one.query_seconds if one.query_seconds is not None else one.transaction_seconds
        lasted = "" if seconds is None else f" for {seconds:.0f} s"
        who = f"{one.user or '?'}@{one.database or '?'} ({one.application_name or 'unnamed'})"
        waits = f", waits for {one.wait_event}" if one.wait_event else ""
        said.append(one_line(f"session {one.session_id} of {who}: {one.state}{lasted}{waits}", limit=200))
    return said


def of_replication(status: ReplicationStatus) -> list[str]:
    """A replica without its stream, and replicas that lag."""
    said = [f"role {status.role.value}, feeds {counted(len(status.links), 'replica')}"]
    if status.is_receiving is False:
        said.append("finding: it receives nothing from its primary")
    if (status.replay_lag_seconds or 0) >= _LAG_SECONDS or (status.replay_lag_bytes or 0) >= _LAG_BYTES:
        said.append(f"finding: it is behind its primary: {_lag(status.replay_lag_seconds, status.replay_lag_bytes)}")
    for link in status.links:
        if (link.replay_lag_seconds or 0) >= _LAG_SECONDS or (link.replay_lag_bytes or 0) >= _LAG_BYTES:
            lag = _lag(link.replay_lag_seconds, link.replay_lag_bytes)
            said.append(one_line(f"finding: replica {link.name} ({link.state}) is behind: {lag}", limit=200))
    return said


def of_settings(settings: Sequence[Setting]) -> list[str]:
    """Changes that wait for a restart, and values that endanger data."""
    said = [f"finding: {one.name} waits for a restart" for one in settings if one.is_pending_restart][:_SHOWN]
    dangers = [one for one in settings if one.danger]
    said += [one_line(f"finding: {one.name} is {one.value}: {one.danger}", limit=200) for one in dangers[:_SHOWN]]
    return said or [f"{counted(len(settings), 'parameter')}, none waits for a restart"]


def _lag(seconds: float | None, size: int | None) -> str:
    parts = [f"{seconds:.0f} s"] if seconds is not None else []
    parts += [f"{size / 1048576:.1f} MiB"] if size is not None else []
    return ", ".join(parts) or "unknown"
