"""Facet ``replication`` of Redis and Valkey: who follows whom, and how far behind."""

import re
from collections.abc import Mapping

from dbre.engines.redis.link import Conversation, Link
from dbre.engines.redis.session import role_of, server_time
from dbre.ports.replication import ReplicaLink, ReplicationStatus
from dbre.ports.session import Role

__all__ = ["RedisReplication"]

_REPLICA = re.compile(r"slave\d+")


class RedisReplication:
    """Implements ``ports.replication``. Lag is counted in bytes of the replication stream; nobody measures its age."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def status(self) -> ReplicationStatus:
        """Replication as this instance sees it."""
        return await self._link.ask(_status)


async def _status(conversation: Conversation) -> ReplicationStatus:
    info = await conversation.info()
    role = role_of(info)
    is_replica = role is Role.REPLICA
    has_data = is_replica and info.get("master_sync_in_progress") == "0"
    links = [_link(value, info) for name, value in info.items() if _REPLICA.fullmatch(name)]
    return ReplicationStatus(
        role=role,
        links=tuple(sorted(links, key=lambda link: link.name)),
        upstream=f"{info['master_host']}:{info['master_port']}" if is_replica else None,
        is_receiving=info.get("master_link_status") == "up" if is_replica else None,
        replay_lag_bytes=_difference(info, "slave_read_repl_offset", "slave_repl_offset") if has_data else None,
        replay_lag_seconds=None,
        measured_at=server_time(await conversation.ask("time")),
    )


def _difference(info: Mapping[str, str], ahead: str, behind: str) -> int | None:
    if ahead not in info or behind not in info:
        return None
    return max(0, int(info[ahead]) - int(info[behind]))


def _link(value: str, info: Mapping[str, str]) -> ReplicaLink:
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    address = f"{fields.get('ip', '')}:{fields.get('port', '')}"
    # A replica acknowledges what it has applied, once a second: the lag includes what is on its way.
    known = {"ahead": info.get("master_repl_offset", "0"), "behind": fields.get("offset", "0")}
    is_online = fields.get("state") == "online"
    return ReplicaLink(
        name=address,
        client_address=fields.get("ip"),
        state=fields.get("state", ""),
        sync_state="async",
        flush_lag_bytes=None,
        replay_lag_bytes=_difference(known, "ahead", "behind") if is_online else None,
        replay_lag_seconds=None,
    )
