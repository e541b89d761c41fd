"""The way from the facets to one server process: pooled, bounded, timed, and checked against version and privileges."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from asyncmy.errors import MySQLError

from dbre.core.breaker import CircuitBreaker
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied, Unreachable
from dbre.core.pool import Pool, PoolBusy
from dbre.core.retry import RetryPolicy, retry
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.facts import LOGIN, STATEMENT_TIMEOUTS
from dbre.engines.mysql.faults import classify, translate
from dbre.engines.mysql.privileges import held_privileges
from dbre.engines.mysql.queries import named
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.versions import format_version

__all__ = ["STATEMENT_GRACE_SECONDS", "Conversation", "Link", "ask_named", "read_privileges"]

STATEMENT_GRACE_SECONDS = 0.25  # a live server ends a statement by its own timer first, and says so
_PRIVILEGES_SECONDS = 60.0
_RETRY = RetryPolicy(attempts=3, first_seconds=0.05, longest_seconds=0.5, total_seconds=5.0)
_Answer = TypeVar("_Answer")


async def ask_named(connection: Connection, name: str, *parameters: object, limit_seconds: float) -> list[Row]:
    """The rows of the statement of that name for the connection's server, whatever its privilege."""
    query = named(name, product=connection.product, version=connection.version)
    return await connection.run(query, *parameters, limit_seconds=limit_seconds)


async def read_privileges(connection: Connection, *, limit_seconds: float) -> frozenset[str]:
    """What the connection's login may do, in the words of the SQL headers."""
    rows = await ask_named(connection, "grants", limit_seconds=limit_seconds)
    return held_privileges(str(next(iter(row.values()))) for row in rows)


def _may_pass(error: Exception) -> bool:
    """Whether to ask again: an engine's word for it, and time that was not used up."""
    verdict = classify(error)
    return verdict is not None and verdict.retryable and not isinstance(error, TimeoutError)


def _is_broken(error: BaseException) -> bool:
    """Whether an error speaks against the whole server, and not against one slow statement or our own pool."""
    if not isinstance(error, Unreachable) or isinstance(error, PoolBusy):
        return False
    return error.context.get("error_number") not in STATEMENT_TIMEOUTS


class Link:
    """One server process as its facets reach it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._pool: Pool[Connection] = Pool(self._open, limit=access.max_connections, name=f"MySQL at {access.address}")
        self._clock = SystemClock()
        self._breaker = CircuitBreaker(f"MySQL at {access.address}", clock=self._clock)
        self._opened: set[Connection] = set()
        self._privileges: frozenset[str] = frozenset()
        self._privileges_until = 0.0

    @property
    def limit_seconds(self) -> float:
        """The longest that one facet call may take: a connection and a statement."""
        return self.access.timeouts.connect_seconds + self.access.timeouts.statement_seconds

    @property
    def session_ids(self) -> frozenset[int]:
        """The server's numbers of our own sessions."""
        self._opened = {connection for connection in self._opened if connection.is_open}
        return frozenset(connection.thread_id for connection in self._opened)

    async def ask(self, work: Callable[["Conversation"], Awaitable[_Answer]]) -> _Answer:
        """Let ``work`` ask over one pooled connection, within the limit; again where the server says that this may help.

        Facets only read, so that asking twice does no harm. Raises: Unreachable, Denied, Unsupported.
        """
        limit = self.limit_seconds

        async def attempt() -> _Answer:
            async with self._pool.connection(wait_seconds=limit) as connection:
                return await work(Conversation(self, connection))

        async with self._breaker.guard(is_failure=_is_broken):
            try:
                async with asyncio.timeout(limit):
                    return await retry(attempt, clock=self._clock, policy=_RETRY, when=_may_pass)
            except (MySQLError, OSError) as error:
                raise translate(error, self.access, limit_seconds=limit) from error

    async def privileges(self, connection: Connection, *, fresh: bool = False) -> frozenset[str]:
        """The privileges of our login, remembered for a minute."""
        if fresh or time.monotonic() >= self._privileges_until:
            limit = self.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
            self._privileges = await read_privileges(connection, limit_seconds=limit)
            self._privileges_until = time.monotonic() + _PRIVILEGES_SECONDS
        return self._privileges

    async def aclose(self) -> None:
        """Close every connection; waits for nobody."""
        self._pool.close()

    async def _open(self) -> Connection:
        connection = await open_connection(self.access, what="facets")
        try:
            await ask_named(connection, "read_only_session", limit_seconds=self.access.timeouts.statement_seconds)
        except BaseException:
            connection.abort()
            raise
        self._opened.add(connection)
        return connection


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

    async def row(self, name: str, *parameters: object) -> Row:
        """The only row of a named query. Raises: Unreachable where the server answers with none or several."""
        found = await self.rows(name, *parameters)
        if len(found) != 1:
            raise Unreachable(f"MySQL at {self._link.access.address}: {name} gave {len(found)} rows, and 1 was due")
        return found[0]

    async def privileges(self) -> frozenset[str]:
        """What our login may do now."""
        return await self._link.privileges(self._connection, fresh=True)

    async def may(self, privilege: str) -> bool:
        """Whether our login holds a privilege; what was missing is looked up again, since a grant may have come."""
        if privilege == LOGIN or privilege in await self._link.privileges(self._connection):
            return True
        return privilege in await self._link.privileges(self._connection, fresh=True)

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
