"""A few questions to a server over a connection of its own, which is closed at once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access, NamedQuery

__all__ = ["Questions", "ask", "asking"]

_Answer = TypeVar("_Answer")


class Questions:
    """Named queries over one open connection."""

    def __init__(self, connection: Connection, access: Access) -> None:
        self._connection = connection
        self._limit = access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        self.version = connection.version

    async def rows(self, name: str, *parameters: object) -> list[Any]:
        """The rows of a named query."""
        query = named(name, version=self.version)
        return list(await self._connection.run(query, *parameters, limit_seconds=self._limit))

    async def run(self, query: NamedQuery, *parameters: object) -> list[Any]:
        """The rows of a query whose names were filled in."""
        return list(await self._connection.run(query, *parameters, limit_seconds=self._limit))

    async def row(self, name: str, *parameters: object) -> Any:
        """The only row of a named query."""
        (found,) = await self.rows(name, *parameters)
        return found


@asynccontextmanager
async def asking(access: Access, *, what: str) -> AsyncIterator[Questions]:
    """Open a connection for a few questions. Raises: Unreachable, Denied, Unsupported."""
    try:
        connection = await open_connection(access, what=what)
        try:
            yield Questions(connection, access)
        finally:
            connection.abort()
    except FAULTS.raised as error:
        raise FAULTS.translate(error, access) from error


async def ask(access: Access, work: Callable[[Questions], Awaitable[_Answer]], *, what: str = "backup") -> _Answer:
    """Let ``work`` ask over a connection of its own."""
    async with asking(access, what=what) as questions:
        return await work(questions)
