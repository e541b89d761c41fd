"""Facet ``session`` of Redis and Valkey: who is there, and what may we do."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from dbre.core.errors import Unsupported
from dbre.engines.redis.facts import identify_product
from dbre.engines.redis.link import Conversation, Link
from dbre.ports.session import LoginFacts, Role, ServerIdentity

__all__ = ["RedisSession", "role_of", "server_time"]


def role_of(info: Mapping[str, str]) -> Role:
    """The role that INFO tells."""
    return Role.PRIMARY if info.get("role") == "master" else Role.REPLICA


def server_time(answer: Sequence[str]) -> datetime:
    """The answer of TIME, seconds and microseconds, as UTC."""
    seconds, microseconds = (int(part) for part in answer)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


class RedisSession:
    """Implements ``ports.session``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def identify(self) -> ServerIdentity:
        """Ask the server who it is. There is no system identifier: the replication id changes with each promotion."""
        return await self._link.ask(_identify)

    async def privileges(self) -> frozenset[str]:
        """What our login may do, as ACL rules write it; found out by trying, each time anew."""
        return await self._link.ask(lambda conversation: conversation.privileges())

    async def login(self) -> LoginFacts:
        """Nothing: only an administrator may read ACLs, and the heartbeat's key comes with its first write."""
        return LoginFacts(is_superuser=None, has_heartbeat=None)

    async def read_row(self, query: str) -> Mapping[str, object]:  # noqa: ARG002 - the port's signature
        """Raises: Unsupported, always: Redis has no queries."""
        raise Unsupported(
            "Redis has no queries", hint="measure it by probes, or by a Prometheus: sli.kind availability, prometheus"
        )


async def _clock(conversation: Conversation, info: Mapping[str, str]) -> datetime:
    """The server's clock at the moment of INFO, where INFO tells it: uptime counts from the same one."""
    if "server_time_usec" in info:
        seconds, microseconds = divmod(int(info["server_time_usec"]), 1_000_000)
        return server_time((str(seconds), str(microseconds)))
    return server_time(await conversation.ask("time"))


async def _identify(conversation: Conversation) -> ServerIdentity:
    info = await conversation.info()
    product, version, text = identify_product(info)
    now = await _clock(conversation, info)
    role = role_of(info)
    return ServerIdentity(
        product=product.value,
        version=version,
        version_text=text,
        role=role,
        is_read_only=role is Role.REPLICA and info.get("slave_read_only") != "0",
        system_id=None,
        timeline=None,
        started_at=now.replace(microsecond=0) - timedelta(seconds=int(info["uptime_in_seconds"])),
        user=await conversation.ask("login"),
    )
