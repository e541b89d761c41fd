"""Facet ``topology`` of MySQL and MariaDB: who follows whom, by GTID."""

from collections.abc import Mapping
from datetime import UTC, datetime

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import READ_HEARTBEAT
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.gtid import sequences_of, writers_of
from dbre.engines.mysql.link import Conversation, Link
from dbre.engines.mysql.replication import in_new_words, replay_lag_bytes
from dbre.engines.mysql.session import is_switched_on, role_of, server_time
from dbre.ports.liveness import contact_of
from dbre.ports.session import Role
from dbre.ports.topology import Contact, Downstream, HeartbeatStamp, LogPosition, NodeView, Upstream, WriterLog

__all__ = ["CONTACTS", "MySqlTopology"]

CONTACTS = {
    "1040": Contact.EXHAUSTED,
    "1203": Contact.EXHAUSTED,
    "1226": Contact.EXHAUSTED,
    "1044": Contact.REFUSED,
    "1045": Contact.REFUSED,
    "1129": Contact.REFUSED,
    "1130": Contact.REFUSED,
    "1227": Contact.REFUSED,
    "1047": Contact.STARTING,
    "1053": Contact.STARTING,
    "1077": Contact.STARTING,
    "1079": Contact.STARTING,
    "3168": Contact.STARTING,
    "2003": Contact.RESET,
    "2006": Contact.RESET,
    "2013": Contact.RESET,
}
"""What an error number says of the server; any other is an answer like any other. From 2000 on no server spoke."""

_TEXT = 500  # characters of a set that are kept to be shown


class MySqlTopology:
    """Implements ``ports.topology``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def view(self, *, heartbeat: str | None = None) -> NodeView:
        """This node now, over one connection. ``SHOW REPLICA STATUS`` waits while a replica is being stopped."""
        return await self._link.ask(lambda conversation: _view(conversation, heartbeat))

    def contact(self, error: DbreError) -> Contact:
        """What an error of any facet of this server says about whether it lives."""
        return contact_of(error, FAULTS, CONTACTS)


async def _view(conversation: Conversation, heartbeat: str | None) -> NodeView:
    stamp = await _stamp(conversation, heartbeat) if heartbeat is not None else None
    found = await conversation.row("topology_node")
    identity = await conversation.row("identify")
    upstreams = [in_new_words(row) for row in await conversation.rows("upstreams")]
    feeds = await conversation.rows("feeds")
    is_replica, has_gtids = bool(upstreams), is_switched_on(found["has_gtids"])
    role = Role.REPLICA if is_replica else role_of(identity)
    return NodeView(
        process_id=printable(str(found["process_id"]), limit=500),
        node_id=printable(str(found["node_id"]), limit=100),
        system_id=identity["system_id"] or None,
        role=role,
        is_writable=not is_switched_on(found["is_read_only"]),
        may_have_peers=is_switched_on(found["is_multi_primary"]) or bool(identity["system_id"]),
        position=_position(str(found["applied" if is_replica else "written"] or "")) if has_gtids else None,
        has_upstream_configured=is_replica if role is Role.REPLICA else None,
        upstreams=tuple(_upstream(row) for row in upstreams),
        downstreams=tuple(_downstream(row) for row in feeds),
        is_replay_paused=any(row["replica_sql_running"] != "Yes" for row in upstreams) if is_replica else None,
        min_apply_delay_seconds=max(float(row.get("sql_delay") or 0) for row in upstreams) if is_replica else None,
        heartbeat=stamp,
        writer=printable(str(found["writer"]), limit=100).lower(),
        writers=_writers(found) if has_gtids else None,
        measured_at=server_time(identity["measured_at"]),
    )


def _writers(found: Row) -> tuple[WriterLog, ...] | None:
    """None at all is an answer where a log is kept: nothing was ever written here."""
    known = writers_of(str(found["logged"] or ""), str(found["applied"] or ""))
    return known if known or is_switched_on(found["keeps_log"]) else None


async def _stamp(conversation: Conversation, identifier: str) -> HeartbeatStamp | None:
    if not await conversation.may(READ_HEARTBEAT):
        return None
    if not (await conversation.row("heartbeat_there"))["tables"]:
        return None
    rows = await conversation.rows("topology_heartbeat", identifier)
    if not rows:
        return None
    written = rows[0]["written_at"]
    at = written if isinstance(written, datetime) else datetime.fromisoformat(str(written))
    return HeartbeatStamp(sequence=int(rows[0]["sequence"]), written_at=at.replace(tzinfo=UTC))


def _position(text: str) -> LogPosition:
    """A place in GTIDs, at first an empty one: bytes of one server's log mean nothing on another."""
    return LogPosition(text=printable(text, limit=_TEXT), sequences=sequences_of(text))


def _upstream(row: Mapping[str, object]) -> Upstream:
    received = str(row.get("gtid_io_pos") or row.get("retrieved_gtid_set") or "")
    host, port = str(row["source_host"] or ""), int(str(row["source_port"] or 0))
    return Upstream(
        address=Address(printable(host, limit=300), port) if host else None,
        channel=printable(str(row.get("connection_name") or row.get("channel_name") or ""), limit=100),
        is_receiving=row["replica_io_running"] == "Yes",
        received=_position(received) if received else None,
        timeline=None,
        slot=None,
        last_message_seconds=None,
        is_applying=row["replica_sql_running"] == "Yes",
        behind_bytes=replay_lag_bytes(row),
    )


def _downstream(row: Row) -> Downstream:
    return Downstream(
        name=printable(f"{row['login']}@{row['client_address']}", limit=200),
        host=printable(str(row["client_address"]).rpartition(":")[0] or str(row["client_address"]), limit=300),
        port=None,
        state=printable(str(row["state"] or ""), limit=200),
        sync_state=None,
    )
