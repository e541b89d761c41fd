"""The way from the facets to one server process: pooled, bounded, timed."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from dbre.core.clock import SystemClock
from dbre.core.pooled_reads import PooledReads
from dbre.engines.redis.commands import PRIVILEGES, all_commands, named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.facts import LOGIN
from dbre.engines.redis.faults import FAULTS, error_word
from dbre.engines.redis.features import with_joined
from dbre.ports.engine import Access
from dbre.ports.pooled_reads import pooled_reads

__all__ = ["Conversation", "Link", "held_privileges", "sections_of"]

_Answer = TypeVar("_Answer")


def sections_of(text: str) -> dict[str, str]:
    """The fields of an INFO answer; names are unique over its sections.

    >>> sections_of("# Server\\r\\nredis_version:7.0.15\\r\\n")
    {'redis_version': '7.0.15'}
    """
    lines = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


async def held_privileges(connection: Connection, *, limit_seconds: float) -> frozenset[str]:
    """What our login may do, found out by doing it: asking the server would need an administrator's privilege.

    Every command that is tried only reads, or writes nothing.
    """
    held = {LOGIN}
    for privilege in PRIVILEGES:
        command = next(
            (one for one in all_commands() if one.privilege == privilege and not one.parameters), named("heartbeat_read")
        )
        parameters = ["check"] * len(command.parameters)
        try:
            await connection.run(command, *parameters, limit_seconds=limit_seconds)
        except RedisError as error:
            if error_word(error) is None:
                raise
            if error_word(error) == "NOPERM":
                continue
        held.add(privilege)
    return with_joined(held)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._dialer = Dialer(access, what="facets")
        self._reads: PooledReads[Connection] = pooled_reads(
            lambda: self._dialer.open(access),
            access=access,
            faults=FAULTS,
            clock=SystemClock(),
        )

    @property
    def session_ids(self) -> frozenset[int]:
        """The server's numbers of our own sessions."""
        return frozenset(one.session_id for one in self._reads.open_connections if one.session_id is not None)

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection; it only reads, so that it may be asked twice.

        Raises: Unreachable (CircuitOpen without asking, while the server is known to be broken), Denied, Unsupported.
        """
        return await self._reads.ask(lambda connection: work(Conversation(self, connection)))

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._reads.close()


class Conversation:
    """A few questions over one connection."""

    def __init__(self, link: Link, connection: Connection) -> None:
        self._link = link
        self._connection = connection

    @property
    def own_sessions(self) -> frozenset[int]:
        """The numbers of our own sessions."""
        return self._link.session_ids

    async def ask(self, name: str, *parameters: object) -> Any:
        """The answer to a command of the table; the server itself refuses what our login may not do."""
        limit = self._link.access.timeouts.statement_seconds
        return await self._connection.run(named(name), *parameters, limit_seconds=limit)

    async def info(self) -> dict[str, str]:
        """The fields of INFO's default sections."""
        return sections_of(await self.ask("info"))

    async def privileges(self) -> frozenset[str]:
        """What our login may do now."""
        return await held_privileges(self._connection, limit_seconds=self._link.access.timeouts.statement_seconds)
