"""Sessions of clients are ended, a few each second, as by an administrator or a pooler that restarts."""

from collections.abc import Mapping
from typing import Any

from dbre.core.text import counted
from dbre.engines.postgres.backup.asking import asking
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["EndSessions"]


class EndSessions:
    """There is nothing to put back: clients connect again, or show that they cannot."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag
        self._count = 0
        self._is_over = False

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that our login may look for them."""
        async with asking(self._access, what="chaos") as questions:
            await questions.rows("mischief_clients", *_chosen(asked))
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first ones."""
        await self.tend(note)
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """A few more."""
        async with asking(self._access, what="chaos") as questions:
            for one in await questions.rows("mischief_clients", *_chosen(note)):
                found = await questions.row("mischief_end_session", one.pid)
                self._count += bool(found.is_ended)

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """What the server said when they were ended."""
        if not self._count and not self._is_over:
            await self.tend(note)  # nobody was there
        return Seen(self._count > 0 and not self._is_over, f"{counted(self._count, 'session')} ended")

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing was changed
        """No more of them."""
        self._is_over = True


def _chosen(asked: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return asked["user"], asked["application"], asked["database"], asked["sessions"]
