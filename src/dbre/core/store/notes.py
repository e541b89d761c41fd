"""What a transaction remembers until its commit: topics to announce, and rows to write together at its end.

Notes follow savepoints: what was noted since a savepoint is forgotten when the transaction goes back to it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["Flush", "Notes", "begin_notes", "defer", "end_notes", "follow_savepoints", "notes_of"]

Flush = Callable[[AsyncConnection, Sequence[Any]], Awaitable[None]]
"""Writes everything that was deferred for it, in the order in which it was deferred."""

_KEY = "dbre_notes"


class Notes:
    """The notes of one transaction."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self._deferred: list[tuple[Flush, Any]] = []
        self._savepoints: list[tuple[frozenset[str], int]] = []

    def defer(self, flush: Flush, items: Sequence[Any]) -> None:
        """Let ``flush`` write these before the commit."""
        self._deferred.extend((flush, item) for item in items)

    async def write(self, connection: AsyncConnection) -> None:
        """Call each ``flush`` once with all that was deferred for it."""
        while self._deferred:  # a flush may defer more
            grouped: dict[Flush, list[Any]] = {}
            for flush, item in self._deferred:
                grouped.setdefault(flush, []).append(item)
            self._deferred.clear()
            for flush, items in grouped.items():
                await flush(connection, items)

    def mark(self) -> None:
        """Remember where the notes stand at the next savepoint."""
        self._savepoints.append((frozenset(self.topics), len(self._deferred)))

    def return_to(self, number: int) -> None:
        """Forget what was noted since the savepoint of that number, counted from 1 in this transaction."""
        topics, count = self._savepoints[number - 1]
        self.topics = set(topics)
        del self._deferred[count:]


def begin_notes(connection: AsyncConnection) -> Notes:
    """New notes for a transaction that begins."""
    connection.info[_KEY] = notes = Notes()
    return notes


def end_notes(connection: AsyncConnection) -> None:
    """The transaction takes no more notes."""
    if not connection.invalidated:  # an invalid connection has lost its notes, and is never used again
        connection.info.pop(_KEY, None)


def notes_of(connection: AsyncConnection | Connection) -> Notes:
    """The notes of the transaction. Raises: RuntimeError outside a write transaction of the store."""
    notes = connection.info.get(_KEY)
    if notes is None:
        raise RuntimeError("this connection is not in a write transaction of the state store: use Store.begin or Store.grouped")
    return cast(Notes, notes)


def defer(connection: AsyncConnection, flush: Flush, items: Sequence[Any]) -> None:
    """Have ``flush(connection, items)`` called once before the commit, with what all others in the transaction deferred for it.

    Many small writes of one transaction, or of many callers that share one, thus become a single statement. An error of
    ``flush`` fails the transaction.
    """
    notes_of(connection).defer(flush, items)


def follow_savepoints(engine: AsyncEngine) -> None:
    """Let the notes of this engine's transactions follow their savepoints."""

    @event.listens_for(engine.sync_engine, "savepoint")
    def _mark(connection: Connection, _name: str | None) -> None:
        if _KEY in connection.info:  # a reader of PostgreSQL shares the engine, and has none
            connection.info[_KEY].mark()

    @event.listens_for(engine.sync_engine, "rollback_savepoint")
    def _return(connection: Connection, name: str, _context: Any) -> None:
        # SQLAlchemy counts the savepoints of a connection object (sa_savepoint_3), and ours has one transaction.
        if _KEY in connection.info:
            connection.info[_KEY].return_to(int(name.rpartition("_")[2]))
