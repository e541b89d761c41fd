"""Sessions of clients are ended, a few each second, as by an administrator or a pooler that restarts."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import UsageError
from dbre.core.text import counted
from dbre.engines.mysql.faults import FAULTS, error_number
from dbre.engines.mysql.mischief.talking import Talk, kill_statement, talking
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["EndSessions"]

_NO_SUCH_SESSION = 1094


class EndSessions:
    """There is nothing to put back: clients connect again, or show that they cannot."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag
        self._count = 0
        self._is_over = False

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that what is asked can be told apart here."""
        if asked["application"]:
            raise UsageError("sessions of MySQL and MariaDB do not tell their application", hint="choose by user or database")
        async with talking(self._access) as talk:
            await _clients(talk, asked)
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first ones."""
        await self.tend(note)
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """A few more."""
        async with talking(self._access) as talk:
            for number in await _clients(talk, note):
                try:
                    await talk.run(kill_statement(number))
                except FAULTS.raised as error:
                    if error_number(error) != _NO_SUCH_SESSION:  # it has gone by itself
                        raise
                else:
                    self._count += 1

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """What the server said when they were ended."""
        if not self._count and not self._is_over:
            await self.tend(note)  # nobody was there
        return Seen(self._count > 0 and not self._is_over, f"{counted(self._count, 'session')} ended")

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing was changed
        """No more of them."""
        self._is_over = True


async def _clients(talk: Talk, asked: Mapping[str, Any]) -> list[int]:
    user, database = asked["user"], asked["database"]
    rows = await talk.rows("mischief_clients", user, user, database, database, asked["sessions"])
    return [int(row["session_id"]) for row in rows]
