"""The way from the facets to one server process: pooled, bounded, timed, and checked against version and privileges."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from dbre.core.breaker import CircuitBreaker
from dbre.core.clock import Clock
from dbre.core.errors import Denied, Unreachable
from dbre.core.pool import Pool
from dbre.core.retry import RetryPolicy, retry
from dbre.core.text import printable
from dbre.engines.postgres.connection import Connection, open_connection, server_limits
from dbre.engines.postgres.facts import (
    CONNECT,
    CREATE_IN_DATABASE,
    MONITOR,
    READ_CONTROL,
    READ_HEARTBEAT,
    STATEMENT_TIMEOUT,
    WRITE_HEARTBEAT,
)
from dbre.engines.postgres.faults import classify, network_code, translate
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.versions import format_version

__all__ = ["STATEMENT_GRACE_SECONDS", "Conversation", "Link", "read_privileges"]

STATEMENT_GRACE_SECONDS = 0.25  # a live server ends a statement by its own timer first, and says so
_PRIVILEGES_SECONDS = 60.0
_Answer = TypeVar("_Answer")


async def read_privileges(connection: Connection, *, limit_seconds: float) -> frozenset[str]:
    """What the connection's role may do, in the words of the SQL headers."""
    (found,) = await connection.run(named("privileges"), limit_seconds=limit_seconds)
    held = {
        CONNECT: True,
        MONITOR: found.is_monitor,
        READ_CONTROL: found.may_read_control,
        READ_HEARTBEAT: found.may_read_heartbeat,
        WRITE_HEARTBEAT: found.may_write_heartbeat,
        CREATE_IN_DATABASE: found.may_create_schema,
    }
    return frozenset(word for word, is_held in held.items() if is_held)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        name = f"PostgreSQL at {access.address}"
        self.access = access
        self._clock = clock
        self._breaker = CircuitBreaker(name, clock=clock)
        self._pool: Pool[Connection] = Pool(self._open, limit=access.max_connections, name=name)
        self._privileges: frozenset[str] = frozenset()
        self._privileges_until = 0.0

    @property
    def limit_seconds(self) -> float:
        """The longest that one facet call may take: a connection and a statement."""
        return self.access.timeouts.connect_seconds + self.access.timeouts.statement_seconds

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection, within the limit; it only reads, so that it may be asked twice.

        Raises: Unreachable (CircuitOpen without asking, while the server is known to be broken), Denied, Unsupported.
        """
        limit = self.limit_seconds
        deadline = self._clock.monotonic() + limit
        policy = RetryPolicy(attempts=3, first_seconds=0.05, longest_seconds=0.5, total_seconds=limit)
        async with self._breaker.guard(is_failure=_is_broken):
            return await retry(lambda: self._ask_once(work, deadline), clock=self._clock, policy=policy, when=_may_pass)

    async def _ask_once(self, work: Callable[["Conversation"], Awaitable[_Answer]], deadline: float) -> _Answer:
        left = deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(left), self._pool.connection(wait_seconds=left) as connection:
                return await work(Conversation(self, connection))
        except (psycopg.Error, OSError) as error:
            raise translate(error, self.access, limit_seconds=self.limit_seconds) from error

    async def privileges(self, connection: Connection, *, fresh: bool = False) -> frozenset[str]:
        """The privileges of our role, remembered for a minute."""
        if fresh or self._clock.monotonic() >= self._privileges_until:
            limit = self.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
            self._privileges = await read_privileges(connection, limit_seconds=limit)
            self._privileges_until = self._clock.monotonic() + _PRIVILEGES_SECONDS
        return self._privileges

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._pool.close()

    async def _open(self) -> Connection:
        connection = await open_connection(self.access, what="facets", is_limited_at_start=False)
        limits = server_limits(self.access.timeouts)
        try:
            limit = self.access.timeouts.statement_seconds
            await connection.run(named("session_limits"), *limits.values(), limit_seconds=limit)
        except BaseException:
            connection.abort()
            raise
        return connection


def _may_pass(error: Exception) -> bool:
    """Whether to ask again: an engine's word for it, and time that was not used up."""
    verdict = classify(error)
    is_late = error.__cause__ is not None and network_code(error.__cause__) == "timeout"
    return verdict is not None and verdict.retryable and not is_late


def _is_broken(error: BaseException) -> bool:
    """Whether an error speaks against the whole server, and not against one slow statement."""
    return isinstance(error, Unreachable) and error.context.get("sqlstate") != STATEMENT_TIMEOUT


class Conversation:
    """A few questions over one connection."""

    def __init__(self, link: Link, connection: Connection) -> None:
        self._link = link
        self._connection = connection
        self.version = connection.version

    @property
    def connection(self) -> Connection:
        """The connection itself, for what is known without asking."""
        return self._connection

    async def rows(self, name: str, *parameters: object) -> Sequence[Any]:
        """The rows of a named query. Raises: Denied without sending it where our role lacks its privilege; Unsupported."""
        query = named(name, version=self.version)
        if not await self.may(query.privilege):
            raise self._denied(query)
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        return await self._connection.run(query, *parameters, limit_seconds=limit)

    async def row(self, name: str, *parameters: object) -> Any:
        """The only row of a named query."""
        (found,) = await self.rows(name, *parameters)
        return found

    async def privileges(self) -> frozenset[str]:
        """What our role may do now."""
        return await self._link.privileges(self._connection, fresh=True)

    async def may(self, privilege: str) -> bool:
        """Whether our role holds a privilege; what was missing is looked up again, since a grant may have come."""
        if privilege == CONNECT:
            return True
        if privilege in await self._link.privileges(self._connection):
            return True
        return privilege in await self._link.privileges(self._connection, fresh=True)

    def _denied(self, query: NamedQuery) -> Denied:
        access, user = self._link.access, printable(self._connection.user)
        return Denied(
            f"PostgreSQL at {access.address}: {query.facet} needs {query.privilege}, which role {user!r} lacks",
            hint="an administrator can grant it: dbre engine sql postgresql --grants --user NAME",
            context={
                "address": str(access.address),
                "privilege": query.privilege,
                "query": query.name,
                "version": format_version(self.version),
            },
        )
