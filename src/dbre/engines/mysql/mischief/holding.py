"""Deeds that are sessions: a locked table, idle transactions, deadlocks. Each session is named by a lock of its own."""

import asyncio
from collections.abc import Mapping
from typing import Any

from dbre.core.errors import Unreachable
from dbre.core.text import counted
from dbre.engines.mysql.connection import open_connection
from dbre.engines.mysql.faults import FAULTS, error_number
from dbre.engines.mysql.mischief.talking import Talk, kill_statement, lock_statement, talking, translated
from dbre.ports.engine import Access
from dbre.ports.mischief import BEYOND_SECONDS, Seen

__all__ = ["Deadlocks", "IdleTransactions", "Locks"]

_LOCK_SECONDS = 20  # to get a table that is in use
_WAIT_SECONDS = 86_400
_PAUSE_SECONDS = 0.05
_DEADLOCK = (1213, 3058)  # MariaDB, MySQL
_NO_SUCH_SESSION = 1094


class _Holding:
    """What these have in common: they are gone with their sessions."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access, self._tag = access, tag
        self._open: list[Talk] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the sessions do it."""

    async def end(self, note: Mapping[str, Any]) -> None:
        """Close the sessions, and let the server end those that others have left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while self._open:
            self._open.pop().connection.abort()
        async with talking(self._access) as talk:
            for number in await self._holders(talk, note):
                try:
                    await talk.run(kill_statement(number))
                except FAULTS.raised as error:
                    if error_number(error) != _NO_SUCH_SESSION:  # it has gone meanwhile
                        raise

    def _names(self, note: Mapping[str, Any]) -> list[str]:
        return [f"{self._tag}:held:{number}" for number in range(note["count"])]

    async def _session(self, note: Mapping[str, Any], *, lock_seconds: int) -> Talk:
        """One more, under its name."""
        with translated(self._access):
            connection = await open_connection(self._access, what="chaos")
            talk = Talk(connection, self._access)
            self._open.append(talk)
            await talk.rows("mischief_session", round(note["seconds"] + BEYOND_SECONDS), lock_seconds)
            (found,) = await talk.rows("mischief_take", self._names(note)[len(self._open) - 1], 0)
        if found["is_taken"] != 1:
            raise Unreachable(f"MySQL at {self._access.address}: the name of a session is taken")
        return talk

    async def _holders(self, talk: Talk, note: Mapping[str, Any]) -> list[int]:
        found = [(await talk.rows("mischief_holder", name))[0]["session_id"] for name in self._names(note)]
        return [int(number) for number in found if number is not None]

    async def _count(self, note: Mapping[str, Any]) -> int:
        async with talking(self._access) as talk:
            return len(await self._holders(talk, note))


class Locks(_Holding):
    """A table is locked by one session, and others of ours wait for it."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that it can be the name of a table."""
        lock_statement(asked["table"], asked["mode"])
        return {**asked, "count": 1 + asked["waiters"]}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Lock it; who waits does so behind it."""
        holder = await self._session(note, lock_seconds=_LOCK_SECONDS)
        with translated(self._access):
            await holder.run(lock_statement(note["table"], note["mode"]), limit_seconds=_LOCK_SECONDS + 5)
        for _ in range(note["waiters"]):
            waiter = await self._session(note, lock_seconds=_WAIT_SECONDS)
            waiting = waiter.run(lock_statement(note["table"], "exclusive"), limit_seconds=_WAIT_SECONDS)
            self._tasks.append(asyncio.create_task(waiting))
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask who bears the names."""
        count = await self._count(note)
        return Seen(count > 0, f"{min(count, 1)} session holds {note['table']}, {max(count - 1, 0)} of ours wait for it")


class IdleTransactions(_Holding):
    """Transactions with a snapshot: nothing that was deleted since can be cleaned up."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing can be in the way."""
        return {**asked, "count": asked["sessions"]}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin them, and do no more."""
        for _ in range(note["sessions"]):
            talk = await self._session(note, lock_seconds=_LOCK_SECONDS)
            with translated(self._access):
                await talk.rows("mischief_begin")
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask who bears the names."""
        count = await self._count(note)
        return Seen(count > 0, f"{counted(count, 'session')} idle in a transaction")


class Deadlocks(_Holding):
    """Pairs that take two locks of their own in opposite order; the server's detector ends one of each pair."""

    def __init__(self, access: Access, tag: str) -> None:
        super().__init__(access, tag)
        self._found = 0

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing can be in the way."""
        return {**asked, "count": 2 * asked["pairs"]}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let the pairs run into each other."""
        for pair in range(note["pairs"]):
            both = [await self._session(note, lock_seconds=_WAIT_SECONDS) for _ in range(2)]
            meeting = asyncio.Barrier(2)
            for talk, order in zip(both, ((0, 1), (1, 0)), strict=True):
                names = [f"{self._tag}:pair:{pair}:{one}" for one in order]
                self._tasks.append(asyncio.create_task(self._collide(talk, names, meeting)))
        return note

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask who bears the names, and count what the server told our sessions."""
        count = await self._count(note)
        return Seen(
            count > 0 and self._found > 0, f"{counted(count, 'session')}, {counted(self._found, 'deadlock')} told to them"
        )

    async def _collide(self, talk: Talk, names: list[str], meeting: asyncio.Barrier) -> None:
        while True:
            await talk.rows("mischief_take", names[0], _WAIT_SECONDS, limit_seconds=_WAIT_SECONDS)
            await meeting.wait()  # both hold their first
            try:
                await talk.rows("mischief_take", names[1], _WAIT_SECONDS, limit_seconds=_WAIT_SECONDS)
                await talk.rows("mischief_leave", names[1])
            except FAULTS.raised as error:
                if error_number(error) not in _DEADLOCK:
                    raise
                self._found += 1
            await talk.rows("mischief_leave", names[0])
            await meeting.wait()  # both have let go
            await asyncio.sleep(_PAUSE_SECONDS)
