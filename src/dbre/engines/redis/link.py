"""The way from the facets to one server process: pooled, bounded, timed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from dbre.core.breaker import CircuitBreaker
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.pool import Pool, PoolBusy
from dbre.core.retry import RetryPolicy, retry
from dbre.engines.redis.commands import PRIVILEGES, all_commands, named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.facts import LOGIN
from dbre.engines.redis.faults import classify, error_word, translate
from dbre.engines.redis.features import with_joined
from dbre.ports.engine import Access

__all__ = ["Conversation", "Link", "held_privileges", "sections_of"]

_RETRY = RetryPolicy(attempts=3, first_seconds=0.05, longest_seconds=0.5, total_seconds=5.0)
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


def _speaks_against_server(error: BaseException) -> bool:
    return isinstance(error, Unreachable) and not isinstance(error, PoolBusy)


def _may_help_again(error: Exception) -> bool:
    verdict = classify(error)
    return verdict is not None and verdict.retryable and not isinstance(error, TimeoutError)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._dialer = Dialer(access, what="facets")
        self._pool: Pool[Connection] = Pool(self._open, limit=access.max_connections, name=f"Redis at {access.address}")
        self._opened: set[Connection] = set()
        self._clock = SystemClock()
        self._breaker = CircuitBreaker(f"Redis at {access.address}", clock=self._clock)

    @property
    def limit_seconds(self) -> float:
        """The longest that one facet call may take: a connection and a command."""
        return self.access.timeouts.connect_seconds + self.access.timeouts.statement_seconds

    @property
    def session_ids(self) -> frozenset[int]:
        """The server's numbers of our own sessions."""
        self._opened = {connection for connection in self._opened if connection.is_open}
        return frozenset(one.session_id for one in self._opened if one.session_id is not None)

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection, within the limit; again where the server says that this may help.

        Facets only read, so that asking twice does no harm. Raises: Unreachable, Denied, Unsupported.
        """
        limit = self.limit_seconds

        async def attempt() -> _Answer:
            async with self._pool.connection(wait_seconds=limit) as connection:
                return await work(Conversation(self, connection))

        async with self._breaker.guard(is_failure=_speaks_against_server):
            try:
                async with asyncio.timeout(limit):
                    return await retry(attempt, clock=self._clock, policy=_RETRY, when=_may_help_again)
            except (RedisError, OSError) as error:
                raise translate(error, self.access, limit_seconds=limit) from error

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._pool.close()

    async def _open(self) -> Connection:
        connection = await self._dialer.open(self.access)
        self._opened.add(connection)
        return connection


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
