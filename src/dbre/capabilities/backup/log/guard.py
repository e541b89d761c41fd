"""Whether log that a server keeps for us will fill it up, and what is to be done: a rule without I/O."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from dbre.core.units import format_bytes, format_duration
from dbre.ports.backup.log_source import BacklogState, LogBacklog

__all__ = ["GuardAct", "GuardDecision", "judge"]

_WARN_SHARE = 0.5
_WARN_SECONDS = 3600.0


class GuardAct(StrEnum):
    """What the state of a backlog asks for."""

    NOTHING = "nothing"
    WARN = "warn"  # it grows; a person should look
    DROP = "drop"  # let the server go on without us: a gap, and a full copy at once
    GAP = "gap"  # the server has already removed what we need


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardDecision:
    """What to do about a backlog, and why."""

    act: GuardAct
    reason: str
    seconds_to_full: float | None  # until the limit or the server's own is reached; None: it does not grow, or not known


def judge(
    backlog: LogBacklog,
    *,
    largest_bytes: int,
    when_blocked: Literal["keep", "drop"],
    bytes_per_second: float | None,
    kept_before: int | None = None,
) -> GuardDecision:
    """Decide from what the server keeps, its own limit and ours, and how fast log is written.

    ``keep`` protects recovery: beyond our limit it only warns. ``drop`` protects the server: beyond our limit the log goes,
    unless it is being received and became less since the last look (``kept_before``): then it comes right by itself.
    """
    if backlog.state is BacklogState.LOST:
        reason = "the server removed log that was not received yet (its limit max_slot_wal_keep_size, or the like)"
        return GuardDecision(act=GuardAct.GAP, reason=reason, seconds_to_full=0.0)
    if backlog.state is BacklogState.ABSENT or backlog.kept_bytes is None:
        return GuardDecision(act=GuardAct.NOTHING, reason="the server keeps nothing for us", seconds_to_full=None)
    room = largest_bytes - backlog.kept_bytes
    if backlog.safe_bytes is not None:
        room = min(room, backlog.safe_bytes)
    seconds = max(room, 0) / bytes_per_second if bytes_per_second else None
    shown = f"the server keeps {format_bytes(backlog.kept_bytes)} of log for us; the limit is {format_bytes(largest_bytes)}"
    if backlog.kept_bytes >= largest_bytes:
        catches_up = backlog.is_active and (kept_before is None or backlog.kept_bytes < kept_before)
        act = GuardAct.DROP if when_blocked == "drop" and not catches_up else GuardAct.WARN
        return GuardDecision(act=act, reason=shown, seconds_to_full=0.0)
    if backlog.state is BacklogState.AT_RISK:
        reason = f"{shown}; it may remove it at the next checkpoint"
        return GuardDecision(act=GuardAct.WARN, reason=reason, seconds_to_full=0.0)
    if backlog.kept_bytes >= _WARN_SHARE * largest_bytes:
        return GuardDecision(act=GuardAct.WARN, reason=shown, seconds_to_full=seconds)
    if seconds is not None and seconds < _WARN_SECONDS and not backlog.is_active:
        reason = f"{shown}, reached in {format_duration(seconds)}, and nobody receives"
        return GuardDecision(act=GuardAct.WARN, reason=reason, seconds_to_full=seconds)
    return GuardDecision(act=GuardAct.NOTHING, reason=shown, seconds_to_full=seconds)
