"""The way from the facets to one server process: pooled, bounded, timed, and checked against version and privileges."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from dbre.core.errors import Denied
from dbre.core.pool import Pool
from dbre.engines.postgres.connection import Connection, open_connection, server_limits
from dbre.engines.postgres.facts import CONNECT, CREATE_IN_DATABASE, MONITOR, READ_HEARTBEAT, WRITE_HEARTBEAT
from dbre.engines.postgres.faults import translate
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
        READ_HEARTBEAT: found.may_read_heartbeat,
        WRITE_HEARTBEAT: found.may_write_heartbeat,
        CREATE_IN_DATABASE: found.may_create_schema,
    }
    return frozenset(word for word, is_held in held.items() if is_held)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._pool: Pool[Connection] = Pool(self._open, limit=access.max_connections, name=f"PostgreSQL at {access.address}")
        self._privileges: frozenset[str] = frozenset()
        self._privileges_until = 0.0

    @property
    def limit_seconds(self) -> float:
        """The longest that one facet call may take: a connection and a statement."""
        return self.access.timeouts.connect_seconds + self.access.timeouts.statement_seconds

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection, within the limit. Raises: Unreachable, Denied, Unsupported."""
        limit = self.limit_seconds
        try:
            async with asyncio.timeout(limit), self._pool.connection(wait_seconds=limit) as connection:
                return await work(Conversation(self, connection))
        except (psycopg.Error, OSError) as error:
            raise translate(error, self.access, limit_seconds=limit) from error

    async def privileges(self, connection: Connection, *, fresh: bool = False) -> frozenset[str]:
        """The privileges of our role, remembered for a minute."""
        if fresh or time.monotonic() >= self._privileges_until:
            limit = self.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
            self._privileges = await read_privileges(connection, limit_seconds=limit)
            self._privileges_until = time.monotonic() + _PRIVILEGES_SECONDS
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
        access = self._link.access
        return Denied(
            f"PostgreSQL at {access.address}: {query.facet} needs {query.privilege}, which role {access.user!r} lacks",
            hint="an administrator can grant it: dbre engine sql postgresql --grants --user NAME",
            context={
                "address": str(access.address),
                "privilege": query.privilege,
                "query": query.name,
                "version": format_version(self.version),
            },
        )
