"""Facet ``replication``: who follows whom, and how far behind."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dbre.ports.session import Role

__all__ = ["ReplicaLink", "ReplicationPort", "ReplicationStatus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLink:
    """One replica as its primary sees it. Lags are None when unknown; 0 is a measured zero."""

    name: str  # application_name, server id, or address: how the primary names it
    client_address: str | None
    state: str  # the engine's own word: streaming, catchup, online, ...
    sync_state: str | None  # async, sync, quorum, potential, semisync
    flush_lag_bytes: int | None
    replay_lag_bytes: int | None
    replay_lag_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStatus:
    """Replication as one instance sees it."""

    role: Role
    links: tuple[ReplicaLink, ...]  # replicas that this instance feeds
    upstream: str | None  # address of the server that this replica follows; None on a primary, or not permitted to know
    is_receiving: bool | None  # replica: the stream is connected; None on a primary
    replay_lag_bytes: int | None  # replica: received but not yet replayed; None on a primary
    replay_lag_seconds: float | None  # replica: None when the primary is idle (age is undefined, never 0)
    measured_at: datetime  # server clock, UTC


class ReplicationPort(Protocol):
    """Who follows whom, and how far behind."""

    async def status(self) -> ReplicationStatus:
        """Replication as this instance sees it, links sorted by name."""
        ...
