"""Facet ``replication`` of PostgreSQL: physical streaming replication; logical subscribers and backups are not replicas."""

from datetime import UTC
from typing import Any

from dbre.core.fleet import Address
from dbre.engines.postgres.link import Conversation, Link
from dbre.ports.replication import ReplicaLink, ReplicationStatus
from dbre.ports.session import Role

__all__ = ["PostgresReplication"]


class PostgresReplication:
    """Implements ``ports.replication``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def status(self) -> ReplicationStatus:
        """Replication as this instance sees it.

        On a replica ``replay_lag_seconds`` is the age of the newest replayed transaction while received WAL waits, which is an
        upper bound: after an idle hour the first new transaction looks an hour late until it is replayed.
        """
        return await self._link.ask(_status)


async def _status(conversation: Conversation) -> ReplicationStatus:
    found = await conversation.row("replication_status")
    links = await conversation.rows("replication_links")
    is_replica = found.is_in_recovery
    upstream = str(Address(found.upstream_host, found.upstream_port)) if is_replica and found.upstream_host else None
    return ReplicationStatus(
        role=Role.REPLICA if is_replica else Role.PRIMARY,
        links=tuple(_link(row) for row in links),
        upstream=upstream,
        is_receiving=found.is_receiving if is_replica else None,
        replay_lag_bytes=_not_negative(found.replay_lag_bytes) if is_replica else None,
        replay_lag_seconds=_not_negative(found.replay_lag_seconds) if is_replica else None,
        measured_at=found.measured_at.astimezone(UTC),
    )


def _link(row: Any) -> ReplicaLink:
    return ReplicaLink(
        name=row.link_name,
        client_address=row.client_address,
        state=row.state,
        sync_state=row.sync_state,
        flush_lag_bytes=row.flush_lag_bytes,
        replay_lag_bytes=row.replay_lag_bytes,
        replay_lag_seconds=row.replay_lag_seconds,
    )


def _not_negative(lag: Any) -> Any:
    """Two positions read one after the other may cross, and clocks differ: neither is a lag below zero."""
    return None if lag is None else max(lag, 0)
