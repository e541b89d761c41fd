"""Facet ``topology`` of Redis and Valkey: who follows whom, in bytes of the replication stream."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.engines.redis.faults import FAULTS
from dbre.engines.redis.link import Conversation, Link
from dbre.engines.redis.session import role_of, server_time
from dbre.ports.liveness import contact_of
from dbre.ports.session import Role
from dbre.ports.topology import Contact, Downstream, HeartbeatStamp, LogPosition, NodeView, Upstream, WriterLog

__all__ = ["CONTACTS", "RedisTopology"]

CONTACTS = {
    "NOAUTH": Contact.REFUSED,
    "NOPERM": Contact.REFUSED,
    "WRONGPASS": Contact.REFUSED,
    "DENIED": Contact.REFUSED,
    "LOADING": Contact.STARTING,
    "BUSY": Contact.STARTING,
}
"""What an error word says of the server; any other is an answer like any other."""

_FULL = "max number of clients"
_DOWNSTREAM = re.compile(r"slave\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = 253_402_300_799_000_000  # the end of the year 9999


class RedisTopology:
    """Implements ``ports.topology``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def view(self, *, heartbeat: str | None = None) -> NodeView:
        """This node now, over one connection."""
        return await self._link.ask(lambda conversation: _view(conversation, heartbeat))

    def contact(self, error: DbreError) -> Contact:
        """What an error of any facet of this server says about whether it lives."""
        return Contact.EXHAUSTED if _FULL in error.message else contact_of(error, FAULTS, CONTACTS)


async def _view(conversation: Conversation, heartbeat: str | None) -> NodeView:
    stamp = _stamp(await conversation.ask("heartbeat_read", heartbeat)) if heartbeat is not None else None
    info = await conversation.info()
    role = role_of(info)
    is_replica = role is Role.REPLICA
    # A replica keeps the offset of its applied stream in slave_repl_offset; its own master_repl_offset is for its followers.
    applied = info.get("slave_repl_offset" if is_replica else "master_repl_offset")
    return NodeView(
        process_id=printable(info.get("run_id", ""), limit=100),
        node_id=printable(info.get("run_id", ""), limit=100) or None,
        system_id=None,
        role=role,
        is_writable=not is_replica or info.get("slave_read_only") == "0",
        may_have_peers=info.get("cluster_enabled") == "1",
        position=_position(info.get("master_replid", ""), applied),
        has_upstream_configured=is_replica or None,
        upstreams=(_upstream(info),) if is_replica else (),
        downstreams=tuple(_downstream(value, info) for name, value in sorted(info.items()) if _DOWNSTREAM.fullmatch(name)),
        heartbeat=stamp,
        writer=_history(info.get("master_replid")),
        writers=tuple(_writers(info, applied)) or None,  # one that begins anew says nothing of what it had
        measured_at=server_time(await conversation.ask("time")),
    )


def _writers(info: Mapping[str, str], applied: str | None) -> Iterator[WriterLog]:
    """Its stream, and the one that it left for it when it was promoted, up to where it had come."""
    for history, last in ((info.get("master_replid"), _number(applied)), (info.get("master_replid2"), _left_at(info))):
        name = _history(history)
        if name is not None and last is not None and last > 0:
            yield WriterLog(stream=name, writer=name, newest=last, name=f"stream {name[:8]}", unit="bytes")


def _left_at(info: Mapping[str, str]) -> int | None:
    """Source: redis.conf, server.h: second_replid_offset is the first that the former stream does not serve any more."""
    first = _number(info.get("second_repl_offset"))
    return first - 1 if first is not None and first > 0 else None


def _history(text: str | None) -> str | None:
    found = printable(text or "", limit=40)
    return found if found.strip("0") else None


def _stamp(score: object) -> HeartbeatStamp | None:
    """The heartbeat's number is the clock of who wrote it, in microseconds; there is no other time in it."""
    if score is None:
        return None
    sequence = int(float(str(score)))
    if not 0 < sequence < _LAST_MICROSECOND:
        return None
    return HeartbeatStamp(sequence=sequence, written_at=_EPOCH + timedelta(microseconds=sequence))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,19}", text) else None


def _position(history: str, offset: str | None) -> LogPosition | None:
    number = _number(offset)
    if number is None or number < 0:
        return None
    return LogPosition(text=f"{printable(history, limit=40)[:8]}:{number}", offset=number)


def _upstream(info: Mapping[str, str]) -> Upstream:
    is_up = info.get("master_link_status") == "up"
    has_data = info.get("master_sync_in_progress") == "0"
    heard = _number(info.get("master_last_io_seconds_ago"))
    return Upstream(
        address=Address(printable(info.get("master_host", ""), limit=300), _number(info.get("master_port")) or 0),
        channel="",
        is_receiving=is_up,
        received=_position(info.get("master_replid", ""), info.get("slave_read_repl_offset")) if has_data else None,
        timeline=None,
        slot=None,
        last_message_seconds=float(heard) if heard is not None and heard >= 0 else None,
        is_applying=None,
    )


def _downstream(value: str, info: Mapping[str, str]) -> Downstream:
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    host, port = printable(fields.get("ip", ""), limit=300), _number(fields.get("port"))
    acknowledged = _position(info.get("master_replid", ""), fields.get("offset"))
    return Downstream(
        name=f"{host}:{port}",
        host=host or None,
        port=port,
        state=printable(fields.get("state", ""), limit=50),
        sync_state="async",
        replayed=acknowledged if fields.get("state") == "online" else None,
    )
