"""A bounded pool of connections that opens lazily, for drivers whose own pool waits where it must not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, Protocol, TypeVar

from dbre.core.errors import Unreachable
from dbre.core.units import format_duration

__all__ = ["Pool", "PoolBusy", "Pooled", "abort_on_error"]


class Pooled(Protocol):
    """What a pool needs to know of a connection."""

    @property
    def is_usable(self) -> bool:
        """Whether the next statement may be sent: open, and no answer outstanding."""
        ...

    def abort(self) -> None:
        """Close the socket at once: never waits for the server, does nothing the second time."""
        ...


@contextmanager
def abort_on_error(connection: Pooled) -> Iterator[None]:
    """Close a connection that is not yet anybody's should the block fail or be cancelled."""
    try:
        yield
    except BaseException:
        connection.abort()
        raise


class PoolBusy(Unreachable):
    """Every connection stayed busy for as long as the caller could wait: says little about the server."""

    code = "core.pool_busy"


Connection = TypeVar("Connection", bound=Pooled)


class Pool(Generic[Connection]):
    """At most ``limit`` connections; the one used last is used first, so that spare ones may time out on the server.

    ``name`` says in messages whose connections they are.
    """

    def __init__(self, open_connection: Callable[[], Awaitable[Connection]], *, limit: int, name: str = "the pool") -> None:
        self._name = name
        self._open = open_connection
        self._limit = limit
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._is_closed = False

    @asynccontextmanager
    async def connection(self, *, wait_seconds: float) -> AsyncIterator[Connection]:
        """Borrow a connection; one that is no longer usable when it comes back is dropped.

        Raises: PoolBusy after ``wait_seconds``, Unreachable once the pool is closed, and whatever opening a connection raises.
        """
        try:
            async with asyncio.timeout(wait_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise PoolBusy(
                f"{self._name}: all {self._limit} connections stayed busy for {format_duration(wait_seconds)}",
                hint="ask for less at the same time, or allow a longer statement timeout",
            ) from error
        try:
            connection = await self._take()
            self._busy.add(connection)
            try:
                yield connection
            except BaseException:
                # The error may have struck between a question and its answer, which only the connection itself knows.
                self._give_back(connection)
                raise
            self._give_back(connection)
        finally:
            self._slots.release()

    async def _take(self) -> Connection:
        if self._is_closed:
            raise Unreachable(f"{self._name}: the connections are closed")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        connection = await self._open()
        if self._is_closed:
            connection.abort()
            raise Unreachable(f"{self._name}: the connections are closed")
        return connection

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.is_usable and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.abort()

    @property
    def connections(self) -> frozenset[Connection]:
        """The connections that the pool holds, busy or not."""
        return frozenset((*self._idle, *self._busy))

    def close(self) -> None:
        """Close every connection, busy ones too; never waits."""
        self._is_closed = True
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
