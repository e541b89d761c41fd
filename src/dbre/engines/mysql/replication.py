"""Facet ``replication`` of MySQL and MariaDB: who follows whom, and how far behind."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.link import Conversation, Link
from dbre.engines.mysql.session import role_of, server_time
from dbre.ports.replication import ReplicaLink, ReplicationStatus
from dbre.ports.session import Role

__all__ = ["MySqlReplication", "in_new_words", "replay_lag_bytes", "replay_lag_seconds"]


class MySqlReplication:
    """Implements ``ports.replication``. A primary does not know how far its replicas are: ask them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def status(self) -> ReplicationStatus:
        """Replication as this instance sees it; of several upstreams the lag of the one furthest behind."""
        return await self._link.ask(_status)


async def _status(conversation: Conversation) -> ReplicationStatus:
    upstreams = [in_new_words(row) for row in await conversation.rows("upstreams")]
    feeds = await conversation.rows("feeds")
    synchronous = await conversation.rows("semisync") if feeds else ()
    found = await conversation.row("identify")
    first = upstreams[0] if upstreams else None
    return ReplicationStatus(
        role=Role.REPLICA if first else role_of(found),
        links=tuple(sorted((_link(row, _sync_state(synchronous, len(feeds))) for row in feeds), key=lambda link: link.name)),
        upstream=f"{first['source_host']}:{first['source_port']}" if first else None,
        is_receiving=all(row["replica_io_running"] == "Yes" for row in upstreams) if upstreams else None,
        replay_lag_bytes=_worst([replay_lag_bytes(row) for row in upstreams]),
        replay_lag_seconds=_worst([replay_lag_seconds(row) for row in upstreams]),
        measured_at=server_time(found["measured_at"]),
    )


def in_new_words(row: Row) -> Row:
    """Columns in the words of MySQL 8.0.22, whatever the server still calls them."""
    return {name.lower().replace("master", "source").replace("slave", "replica"): value for name, value in row.items()}


def replay_lag_bytes(row: Mapping[str, object]) -> int | None:
    """Bytes of binary log received and not yet applied; None while reader and applier stand in different files.

    File sizes in between are known to the primary only. Source: MariaDB and MySQL manuals, SHOW REPLICA STATUS.
    """
    if not row["source_log_file"] or row["source_log_file"] != row["relay_source_log_file"]:
        return None
    return max(0, int(str(row["read_source_log_pos"])) - int(str(row["exec_source_log_pos"])))


def replay_lag_seconds(row: Mapping[str, object]) -> float | None:
    """Age of the event that is being applied; None when nothing waits, where the server prints 0, and when nobody applies.

    The server takes the difference of two machines' clocks, corrected by what it measured when the connection was made.
    """
    behind = row.get("seconds_behind_source")
    if behind is None or replay_lag_bytes(row) == 0:
        return None
    return float(str(behind))


_Lag = TypeVar("_Lag", int, float)


def _worst(lags: Sequence[_Lag | None]) -> _Lag | None:
    """The largest, or None where one of them is unknown."""
    known = [lag for lag in lags if lag is not None]
    return max(known) if known and len(known) == len(lags) else None


def _sync_state(rows: Sequence[Row], feeds: int) -> str | None:
    """The server counts the semi-synchronous replicas without naming them: all, none, or we cannot tell which."""
    count = int(rows[0]["replicas"]) if rows else 0
    if count == 0:
        return "async"
    return "semisync" if count >= feeds else None


def _link(row: Row, sync_state: str | None) -> ReplicaLink:
    return ReplicaLink(
        name=f"{row['login']}@{row['client_address']}",
        client_address=row["client_address"] or None,
        state=row["state"] or "",
        sync_state=sync_state,
        flush_lag_bytes=None,
        replay_lag_bytes=None,
        replay_lag_seconds=None,
    )
