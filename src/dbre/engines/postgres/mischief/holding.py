"""Deeds that are sessions: a locked table, idle transactions, deadlocks."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any

import psycopg

from dbre.core.text import counted
from dbre.engines.postgres.connection import Connection
from dbre.engines.postgres.mischief.held import HeldSessions, lock_statement
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["Deadlocks", "IdleTransactions", "Locks"]

_WAIT_SECONDS = 86_400.0  # the server ends them before
_PAUSE_SECONDS = 0.05


class _Holding:
    """What these have in common: they are gone with their sessions."""

    def __init__(self, access: Access, tag: str) -> None:
        self.sessions = HeldSessions(access, tag)

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the sessions do it."""

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - all sessions of the tag are meant
        """Close the sessions."""
        await self.sessions.close()


class Locks(_Holding):
    """A table is locked by one session, and others of ours wait for it."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that it can be the name of a table."""
        lock_statement(asked["table"], asked["mode"])
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Lock it; who waits does so behind it."""
        statement = lock_statement(note["table"], note["mode"])
        holder = await self.sessions.open(seconds=note["seconds"])
        await self.sessions.run(holder, "mischief_begin")
        await self.sessions.lock(holder, statement)
        for _ in range(note["waiters"]):
            waiter = await self.sessions.open(seconds=note["seconds"], has_lock_limit=False)
            self.sessions.keep_on(self._wait(waiter, lock_statement(note["table"], "exclusive")))
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask for granted locks of our sessions."""
        found = await self.sessions.ours()
        is_on = found.locks > 0 if note["waiters"] == 0 else found.sessions > 0
        return Seen(
            is_on, f"{found.locks} locks on {note['table']}, {found.waiting} of ours and {found.blocked} other sessions wait"
        )

    async def _wait(self, connection: Connection, statement: Any) -> None:
        await self.sessions.run(connection, "mischief_begin")
        await connection.run(statement, limit_seconds=_WAIT_SECONDS)


class IdleTransactions(_Holding):
    """Transactions with a snapshot: nothing that was deleted since can be cleaned up."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing can be in the way."""
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin them, and do no more."""
        for _ in range(note["sessions"]):
            connection = await self.sessions.open(seconds=note["seconds"])
            await self.sessions.run(connection, "mischief_begin")
            await self.sessions.run(connection, "mischief_snapshot")
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:  # noqa: ARG002 - all sessions of the tag are meant
        """Ask for sessions that are idle in a transaction and hold the horizon."""
        found = await self.sessions.ours()
        return Seen(
            found.sessions > 0,
            f"{counted(found.idle, 'session')} idle in a transaction, {found.holding} with rows held,"
            f" the oldest for {counted(found.oldest, 'transaction')}",
        )


class Deadlocks(_Holding):
    """Pairs that take two advisory locks in opposite order; the server's detector ends one of each pair."""

    def __init__(self, access: Access, tag: str) -> None:
        super().__init__(access, tag)
        self._count = 0

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Choose numbers that nobody else is likely to lock."""
        return {**asked, "space": zlib.crc32(self.sessions.tag.encode()) - 2**31}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let the pairs run into each other."""
        for pair in range(note["pairs"]):
            both = [await self.sessions.open(seconds=note["seconds"], has_lock_limit=False) for _ in range(2)]
            meeting = asyncio.Barrier(2)
            for connection, order in zip(both, ((0, 1), (1, 0)), strict=True):
                numbers = [2 * pair + one for one in order]
                self.sessions.keep_on(self._collide(connection, note["space"], numbers, meeting))
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:  # noqa: ARG002 - all sessions of the tag are meant
        """What the server told our sessions; and whether there are any."""
        found = await self.sessions.ours()
        return Seen(
            found.sessions > 0 and (self._count > 0 or found.waiting > 1),
            f"{counted(found.sessions, 'session')}, {counted(self._count, 'deadlock')} told to them",
        )

    async def _collide(self, connection: Connection, space: int, numbers: list[int], meeting: asyncio.Barrier) -> None:
        run = self.sessions.run
        while True:
            await run(connection, "mischief_begin")
            try:
                await run(connection, "mischief_advisory", space, numbers[0], limit_seconds=_WAIT_SECONDS)
                await meeting.wait()  # both hold their first
                await run(connection, "mischief_advisory", space, numbers[1], limit_seconds=_WAIT_SECONDS)
            except psycopg.errors.DeadlockDetected:
                self._count += 1
            await run(connection, "mischief_rollback")
            await meeting.wait()  # both have let go
            await asyncio.sleep(_PAUSE_SECONDS)
