"""Deeds on a replica: replay paused, replay delayed."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.core.units import format_bytes
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.mischief.forcing import Forced
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["ReplayDelay", "ReplayPause"]

_NOT_PAUSED = "not paused"


class ReplayPause:
    """The replica receives and keeps, and does not replay; a promotion ends it."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self.tag = tag

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that it is a replica that replays."""
        found = await self._state()
        if not found.is_in_recovery:
            raise PrecheckFailed(f"PostgreSQL at {self._access.address} is not a replica", hint="name a replica")
        if found.state != _NOT_PAUSED:
            raise PrecheckFailed(f"replay at {self._access.address} is {found.state} already", hint="see who paused it")
        return dict(asked)

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the pause."""
        async with asking(self._access, what="chaos") as questions:
            await questions.row("mischief_pause")
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:  # noqa: ARG002 - the server's state is all
        """Ask for the state of replay."""
        found = await self._state()
        if not found.is_in_recovery:
            return Seen(False, "it was promoted, which ends a pause")
        return Seen(
            found.state != _NOT_PAUSED, f"replay is {found.state}, {format_bytes(found.behind)} received and not replayed"
        )

    async def end(self, note: Mapping[str, Any]) -> None:  # noqa: ARG002 - the server's state is all
        """Let it go on, unless a promotion did."""
        found = await self._state()
        if found.is_in_recovery and found.state != _NOT_PAUSED:
            async with asking(self._access, what="chaos") as questions:
                await questions.row("mischief_resume")

    async def _state(self) -> Any:
        async with asking(self._access, what="chaos") as questions:
            return await questions.row("mischief_replay")


class ReplayDelay(Forced):
    """Commits are replayed so much later (``recovery_min_apply_delay``)."""

    parameter = "recovery_min_apply_delay"

    def wanted(self, asked: Mapping[str, Any]) -> str:
        """The delay in milliseconds."""
        return f"{round(asked['delay_seconds'] * 1000)}ms"

    async def check(self) -> None:
        """See that it is a replica."""
        async with asking(self.access, what="chaos") as questions:
            found = await questions.row("mischief_replay")
        if not found.is_in_recovery:
            raise PrecheckFailed(f"PostgreSQL at {self.access.address} is not a replica", hint="name a replica")

    async def detail(self, note: Mapping[str, Any]) -> str:  # noqa: ARG002 - the server's state is all
        """How far it is behind."""
        async with asking(self.access, what="chaos") as questions:
            found = await questions.row("mischief_replay")
        return f"{format_bytes(found.behind)} received and not replayed"
