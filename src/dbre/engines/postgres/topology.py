"""Facet ``topology`` of PostgreSQL: a primary or a standby, and who streams from whom."""

from datetime import UTC
from typing import Any

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.engines.postgres.facts import READ_CONTROL, READ_HEARTBEAT
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import Conversation, Link
from dbre.ports.liveness import contact_of
from dbre.ports.session import Role
from dbre.ports.topology import (
    Contact,
    Downstream,
    HeartbeatStamp,
    LogicalEdge,
    LogPosition,
    NodeView,
    Slot,
    Upstream,
)

__all__ = ["CONTACTS", "PostgresTopology"]

CONTACTS = {
    "28": Contact.REFUSED,
    "42501": Contact.REFUSED,
    "53300": Contact.EXHAUSTED,
    "57P01": Contact.STARTING,
    "57P02": Contact.STARTING,
    "57P03": Contact.STARTING,
}
"""What a SQLSTATE, or a class of them, says of the server; any other is an answer like any other."""

_COMMITS_ALONE = ("off", "local")


class PostgresTopology:
    """Implements ``ports.topology``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def view(self, *, heartbeat: str | None = None) -> NodeView:
        """This node now, over one connection."""
        return await self._link.ask(lambda conversation: _view(conversation, heartbeat))

    def contact(self, error: DbreError) -> Contact:
        """What an error of any facet of this server says about whether it lives."""
        return contact_of(error, FAULTS, CONTACTS)


async def _view(conversation: Conversation, heartbeat: str | None) -> NodeView:
    # The heartbeat first: what is newer than it is only further along.
    stamp = await _stamp(conversation, heartbeat) if heartbeat is not None else None
    found = await conversation.row("topology_node")
    control = await conversation.row("topology_control") if await conversation.may(READ_CONTROL) else None
    links = await conversation.rows("topology_downstreams") if found.has_downstreams else ()
    slots = await conversation.rows("topology_slots") if found.has_slots else ()
    subscriptions = await conversation.rows("topology_subscriptions") if found.has_subscriptions else ()
    system = control.system_id if control else None
    is_replica: bool = found.is_in_recovery
    return NodeView(
        process_id=f"{system}/{found.started}/{found.port}",
        node_id=None,
        system_id=system,
        role=Role.REPLICA if is_replica else Role.PRIMARY,
        is_writable=not is_replica and not found.is_read_only_by_default,
        timeline=_followed_timeline(control, found) if is_replica else found.written_timeline,
        position=_position(found.position_text, found.position_offset),
        has_upstream_configured=found.has_upstream_configured if is_replica else None,
        upstreams=(_upstream(found),) if is_replica else (),
        downstreams=tuple(_downstream(row) for row in links if not row.is_logical),
        slots=tuple(_slot(row) for row in slots),
        logical=(
            *(_published(row) for row in links if row.is_logical),
            *(_subscribed(row) for row in subscriptions),
        ),
        is_replay_paused=found.is_replay_paused,
        min_apply_delay_seconds=found.min_apply_delay_seconds if is_replica else None,
        synchronous_replicas=_required(found.synchronous_names, found.synchronous_commit),
        heartbeat=stamp,
        measured_at=found.measured_at.astimezone(UTC),
    )


async def _stamp(conversation: Conversation, identifier: str) -> HeartbeatStamp | None:
    if not await conversation.may(READ_HEARTBEAT):
        return None
    rows = await conversation.rows("topology_heartbeat", identifier)
    return HeartbeatStamp(sequence=rows[0].sequence, written_at=rows[0].written_at.astimezone(UTC)) if rows else None


def _required(names: str, commit: str) -> int:
    """How many standbys confirm each commit: ``2 (a, b)``, ``ANY 1 (*)``, ``a, b``.

    Source: PostgreSQL manual, 20.6.2, synchronous_standby_names.
    """
    if not names.strip() or commit in _COMMITS_ALONE:
        return 0
    words = names.split("(")[0].split() if "(" in names else []
    return next((int(word) for word in words if word.isdigit()), 1)


def _position(text: str | None, offset: int | None) -> LogPosition | None:
    return None if text is None or offset is None else LogPosition(text=text, offset=offset)


def _followed_timeline(control: Any, found: Any) -> int | None:
    """Of a standby: the control file may be behind what is received, and knows what was received before."""
    known = [one for one in (control.timeline if control else None, found.received_timeline) if one is not None]
    return max(known, default=None)


def _upstream(row: Any) -> Upstream:
    return Upstream(
        address=Address(row.upstream_host, row.upstream_port) if row.upstream_host else None,
        channel="",
        is_receiving=row.is_receiving,
        received=_position(row.received_text, row.received_offset),
        timeline=row.received_timeline,
        slot=printable(row.upstream_slot, limit=100) if row.upstream_slot else None,
        last_message_seconds=_not_negative(row.last_message_seconds),
        is_applying=None,
        user_timeout_ms=row.upstream_user_timeout_ms if row.is_receiving else None,
        gives_up_seconds=row.gives_up_seconds,
    )


def _downstream(row: Any) -> Downstream:
    return Downstream(
        name=printable(row.link_name, limit=200),
        host=row.client_address,
        port=None,
        state=row.state,
        sync_state=row.sync_state,
        sent=_position(row.sent_text, row.sent_offset),
        written=_position(row.written_text, row.written_offset),
        flushed=_position(row.flushed_text, row.flushed_offset),
        replayed=_position(row.replayed_text, row.replayed_offset),
    )


def _slot(row: Any) -> Slot:
    return Slot(
        name=printable(row.slot_name, limit=100),
        is_physical=row.is_physical,
        is_active=row.active,
        retained_bytes=_not_negative(row.retained_bytes),
        wal_status=row.wal_status,
        inactive_since=row.inactive_since.astimezone(UTC) if row.inactive_since else None,
        is_synced=row.is_synced,
    )


def _published(row: Any) -> LogicalEdge:
    return LogicalEdge(
        name=printable(row.link_name, limit=200),
        is_outgoing=True,
        database=printable(row.database, limit=200) if row.database else None,
        host=row.client_address,
        is_active=True,
    )


def _subscribed(row: Any) -> LogicalEdge:
    return LogicalEdge(
        name=printable(row.name, limit=200),
        is_outgoing=False,
        database=printable(row.database, limit=200) if row.database else None,
        host=None,
        is_active=row.is_active,
        last_message_seconds=_not_negative(row.last_message_seconds),
    )


def _not_negative(value: Any) -> Any:
    """Clocks and positions that were read one after the other may cross."""
    return None if value is None else max(value, 0)
