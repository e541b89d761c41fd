"""The way from the facets to one server process: pooled, bounded, timed, and checked against version and privileges."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from dbre.core.clock import Clock
from dbre.core.errors import Denied
from dbre.core.pool import abort_on_error
from dbre.core.pooled_reads import PooledReads
from dbre.core.text import printable
from dbre.engines.postgres.connection import Connection, open_connection, server_limits
from dbre.engines.postgres.facts import (
    CONNECT,
    CREATE_IN_DATABASE,
    MONITOR,
    READ_CONTROL,
    READ_FILES,
    READ_HEARTBEAT,
    RELOAD,
    STATEMENT_TIMEOUT,
    WRITE_HEARTBEAT,
)
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.held_privileges import HeldPrivileges
from dbre.ports.pooled_reads import pooled_reads
from dbre.ports.versions import format_version

__all__ = ["STATEMENT_GRACE_SECONDS", "Conversation", "Link", "read_privileges"]

STATEMENT_GRACE_SECONDS = 0.25  # a live server ends a statement by its own timer first, and says so
_Answer = TypeVar("_Answer")


async def read_privileges(connection: Connection, *, limit_seconds: float) -> frozenset[str]:
    """What the connection's role may do, in the words of the SQL headers."""
    (found,) = await connection.run(named("privileges"), limit_seconds=limit_seconds)
    return _held(found)


def _held(found: Any) -> frozenset[str]:
    held = {
        CONNECT: True,
        MONITOR: found.is_monitor,
        READ_CONTROL: found.may_read_control,
        READ_FILES: found.may_read_files,
        RELOAD: found.may_reload,
        READ_HEARTBEAT: found.may_read_heartbeat,
        WRITE_HEARTBEAT: found.may_write_heartbeat,
        CREATE_IN_DATABASE: found.may_create_schema,
    }
    return frozenset(word for word, is_held in held.items() if is_held)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self.access = access
        self._reads: PooledReads[Connection] = pooled_reads(
            self._open,
            access=access,
            faults=FAULTS,
            clock=clock,
            is_slow=lambda error: error.context.get("sqlstate") == STATEMENT_TIMEOUT,
        )
        self.privileges: HeldPrivileges[Connection] = HeldPrivileges(self._read_privileges, base=CONNECT, clock=clock)

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection; it only reads, so that it may be asked twice.

        Raises: Unreachable (CircuitOpen without asking, while the server is known to be broken), Denied, Unsupported.
        """
        return await self._reads.ask(lambda connection: work(Conversation(self, connection)))

    async def ask_afresh(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """As ``ask``, over a connection of its own: some parameters are settled when a session begins."""

        async def once(_: "Conversation") -> _Answer:
            connection = await self._open()
            try:
                return await work(Conversation(self, connection))
            finally:
                connection.abort()

        return await self.ask(once)

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._reads.close()

    async def _open(self) -> Connection:
        connection = await open_connection(self.access, what="facets", is_limited_at_start=False)
        limits = server_limits(self.access.timeouts)
        with abort_on_error(connection):
            limit = self.access.timeouts.statement_seconds
            (found,) = await connection.run(named("session_begin"), *limits.values(), limit_seconds=limit)
            if self.access.is_reader:
                await connection.run(named("session_reader"), limit_seconds=limit)
            else:  # a reader has changed who it is since
                self.privileges.told(_held(found))
        return connection

    async def _read_privileges(self, connection: Connection) -> frozenset[str]:
        return await read_privileges(connection, limit_seconds=self.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS)


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

    async def own_rows(self, query: NamedQuery, *parameters: object) -> Sequence[Any]:
        """The rows of a query that is not ours; the server decides what our role may read.

        A function in it can change what the session goes by, for the statements after it: that is set again.
        """
        timeouts = self._link.access.timeouts
        limit = timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        found = await self._connection.run(query, *parameters, limit_seconds=limit)
        await self._connection.run(named("session_limits"), *server_limits(timeouts).values(), limit_seconds=limit)
        if self._link.access.is_reader:
            await self._connection.run(named("session_reader"), limit_seconds=limit)
        return found

    async def compose(self, query: NamedQuery, *parameters: object) -> Sequence[Any]:
        """The rows of a statement of ours with names that are known only at run time; the server decides what we may read."""
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        return await self._connection.run(query, *parameters, limit_seconds=limit)

    async def row(self, name: str, *parameters: object) -> Any:
        """The only row of a named query."""
        (found,) = await self.rows(name, *parameters)
        return found

    async def privileges(self) -> frozenset[str]:
        """What our role may do now."""
        return await self._link.privileges.now(self._connection)

    async def may(self, privilege: str) -> bool:
        """Whether our role holds a privilege."""
        return await self._link.privileges.include(privilege, self._connection)

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
