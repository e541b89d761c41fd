"""Lags as rows."""

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.core.units import format_bytes, format_duration
from dbre.core.view import Column, Row

__all__ = ["LAG_COLUMNS", "is_beyond", "lag_row"]


def _bytes(value: object) -> str:
    return format_bytes(value) if isinstance(value, int) else "-"


def _seconds(value: object) -> str:
    return format_duration(value) if isinstance(value, int | float) else "-"


LAG_COLUMNS = (
    Column(key="replica", title="REPLICA"),
    Column(key="upstream", title="FOLLOWS"),
    Column(key="state", title="STATE", wide=True),
    Column(key="sync_state", title="SYNC"),
    Column(key="send_bytes", title="TO SEND", format=_bytes, right=True),
    Column(key="receive_bytes", title="TO RECEIVE", format=_bytes, right=True),
    Column(key="replay_bytes", title="TO APPLY", format=_bytes, right=True),
    Column(key="total_bytes", title="BEHIND", format=_bytes, right=True),
    Column(key="transactions", title="TRANSACTIONS", right=True),
    Column(key="seconds", title="AGE", format=_seconds, right=True),
    Column(key="seconds_at_most", title="AT MOST", format=_seconds, right=True),
)
"""What the table of ``dbre ha lag`` shows."""


def lag_row(lag: ReplicaLag) -> Row:
    """One replica."""
    return {
        "replica": lag.replica,
        "upstream": lag.upstream,
        "state": lag.state,
        "sync_state": lag.sync_state,
        "send_bytes": lag.send_bytes,
        "receive_bytes": lag.receive_bytes,
        "replay_bytes": lag.replay_bytes,
        "total_bytes": lag.total_bytes,
        "transactions": lag.transactions,
        "seconds": lag.seconds,
        "seconds_at_most": lag.seconds_at_most,
        "is_caught_up": lag.is_caught_up,
    }


def is_beyond(lag: ReplicaLag, limit_bytes: int | None, limit_seconds: float | None) -> bool:
    """Whether a replica is further behind than allowed. What is not known is not within a limit: it may be anything."""
    if lag.is_caught_up:
        return False
    if limit_bytes is not None and (lag.total_bytes is None or lag.total_bytes > limit_bytes):
        return True
    return limit_seconds is not None and (lag.seconds_at_most is None or lag.seconds_at_most > limit_seconds)
