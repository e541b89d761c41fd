"""Connections to SQLite whose statements go to their thread and back once, not four times.

SQLAlchemy makes a cursor, executes, fetches all and closes the cursor, and aiosqlite carries each of these to the thread of the
connection and waits for the answer: 0.2 ms of nothing for each statement. Here a statement is executed and fetched in one go.
"""

import asyncio
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import aiosqlite

__all__ = ["connect_sqlite"]


class _Connection(sqlite3.Connection):
    """Lets go of its locks when it is closed.

    SQLite keeps a closed connection, with its transaction, for as long as one of its statements exists. When a task is
    cancelled, or a transaction times out, the traceback refers to the cursor and so to the statement: nobody could write
    until it is forgotten.

    Source: https://www.sqlite.org/c3ref/close.html ("zombie").
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
        self._is_closed = False

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """A cursor; remembered for ``close``."""
        cursor = super().cursor(*arguments, **options)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """End every statement, roll back what is not committed, and close; the second time do nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            for cursor in list(self._cursors):
                cursor.close()
            self.rollback()
        finally:
            super().close()


class _Cursor:
    """What SQLAlchemy uses of a cursor of aiosqlite; everything but ``execute`` and ``executemany`` answers at once."""

    arraysize = 1

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "_Cursor":
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> "_Cursor":
        """Execute and fetch."""
        await self._run(self._perform, "execute", statement, parameters or ())
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> "_Cursor":
        """Execute for each."""
        await self._run(self._perform, "executemany", statement, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """All rows, which are here already."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is open any more."""

    def _perform(self, connection: sqlite3.Connection, method: str, statement: str, parameters: Any) -> None:
        cursor = connection.cursor()
        try:
            getattr(cursor, method)(statement, parameters)
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class _AsyncConnection(aiosqlite.Connection):
    """An aiosqlite connection whose cursors are ``_Cursor``."""

    def cursor(self) -> Any:
        """A cursor; made without asking the thread."""
        return _Cursor(self._in_thread)

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread, once.

        SQLAlchemy closes a connection whose task was cancelled, and stops it meanwhile: a second stop would wait for the
        answer of a thread that has ended, and the end of the process for that.
        """
        return super().stop() if self._running else None

    async def _in_thread(self, perform: Callable[..., Any], *arguments: Any) -> Any:
        return await self._execute(perform, self._conn, *arguments)  # type: ignore[no-untyped-call]  # aiosqlite has not typed it


def connect_sqlite(database: str, **options: Any) -> aiosqlite.Connection:
    """What SQLAlchemy's ``async_creator_fn`` wants: a connection that is opened when it is awaited."""
    connection = _AsyncConnection(partial(sqlite3.connect, database, factory=_Connection, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with its own: a forgotten connection must not keep us alive
    return connection
