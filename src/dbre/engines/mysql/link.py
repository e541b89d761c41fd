"""The way from the facets to one server process: pooled, bounded, timed, and checked against version and privileges."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dbre.core.clock import SystemClock
from dbre.core.errors import Denied, Unreachable
from dbre.core.pool import abort_on_error
from dbre.core.pooled_reads import PooledReads
from dbre.core.text import counted
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.facts import LOGIN, STATEMENT_TIMEOUTS
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.privileges import held_privileges
from dbre.engines.mysql.queries import named
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.held_privileges import HeldPrivileges
from dbre.ports.pooled_reads import pooled_reads
from dbre.ports.versions import format_version

__all__ = ["STATEMENT_GRACE_SECONDS", "Conversation", "Link", "ask_named", "read_privileges"]

STATEMENT_GRACE_SECONDS = 0.25  # a live server ends a statement by its own timer first, and says so
_Answer = TypeVar("_Answer")


async def ask_named(connection: Connection, name: str, *parameters: object, limit_seconds: float) -> list[Row]:
    """The rows of the statement of that name for the connection's server, whatever its privilege."""
    query = named(name, product=connection.product, version=connection.version)
    return await connection.run(query, *parameters, limit_seconds=limit_seconds)


async def read_privileges(connection: Connection, *, limit_seconds: float) -> frozenset[str]:
    """What the connection's login may do, in the words of the SQL headers."""
    rows = await ask_named(connection, "grants", limit_seconds=limit_seconds)
    return held_privileges(str(next(iter(row.values()))) for row in rows)


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        clock = SystemClock()
        self._reads: PooledReads[Connection] = pooled_reads(
            self._open,
            access=access,
            faults=FAULTS,
            clock=clock,
            is_slow=lambda error: error.context.get("error_number") in STATEMENT_TIMEOUTS,
        )
        self.privileges: HeldPrivileges[Connection] = HeldPrivileges(self._read_privileges, base=LOGIN, clock=clock)

    @property
    def session_ids(self) -> frozenset[int]:
        """The server's numbers of our own sessions."""
        return frozenset(one.thread_id for one in self._reads.open_connections)

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection; it only reads, so that it may be asked twice.

        Raises: Unreachable (CircuitOpen without asking, while the server is known to be broken), Denied, Unsupported.
        """
        return await self._reads.ask(lambda connection: work(Conversation(self, connection)))

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._reads.close()

    async def _open(self) -> Connection:
        connection = await open_connection(self.access, what="facets")
        with abort_on_error(connection):
            await ask_named(connection, "read_only_session", limit_seconds=self.access.timeouts.statement_seconds)
        return connection

    async def _read_privileges(self, connection: Connection) -> frozenset[str]:
        return await read_privileges(connection, limit_seconds=self.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS)


class Conversation:
    """A few questions over one connection."""

    def __init__(self, link: Link, connection: Connection) -> None:
        self._link = link
        self._connection = connection
        self.product = connection.product
        self.version = connection.version

    @property
    def own_sessions(self) -> str:
        """The numbers of our own sessions as FIND_IN_SET wants them."""
        return ",".join(map(str, sorted(self._link.session_ids)))

    async def rows(self, name: str, *parameters: object) -> Sequence[Row]:
        """The rows of a named query. Raises: Denied without sending it where our login lacks its privilege; Unsupported."""
        query = named(name, product=self.product, version=self.version)
        if not await self.may(query.privilege):
            raise self._denied(query)
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        return await self._connection.run(query, *parameters, limit_seconds=limit)

    async def own_rows(self, query: NamedQuery, *parameters: object) -> Sequence[Row]:
        """The rows of a query that is not ours; the server decides what our login may read."""
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        return await self._connection.run(query, *parameters, limit_seconds=limit)

    async def row(self, name: str, *parameters: object) -> Row:
        """The only row of a named query. Raises: Unreachable where the server answers with none or several."""
        found = await self.rows(name, *parameters)
        if len(found) != 1:
            raise Unreachable(f"MySQL at {self._link.access.address}: {name} gave {counted(len(found), 'row')}, and 1 was due")
        return found[0]

    async def privileges(self) -> frozenset[str]:
        """What our login may do now."""
        return await self._link.privileges.now(self._connection)

    async def may(self, privilege: str) -> bool:
        """Whether our login holds a privilege."""
        return await self._link.privileges.include(privilege, self._connection)

    def _denied(self, query: NamedQuery) -> Denied:
        access = self._link.access
        return Denied(
            f"MySQL at {access.address}: {query.facet} needs {query.privilege}, which user {access.user!r} lacks",
            hint="an administrator can grant it: dbre engine sql mysql --grants --user NAME",
            context={
                "address": str(access.address),
                "privilege": query.privilege,
                "query": query.name,
                "product": str(self.product),
                "version": format_version(self.version),
            },
        )
