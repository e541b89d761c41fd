"""Deeds that are a parameter with a bad value: stored, reloaded, and put back as it was stored before."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.text import counted, printable
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.link import Link
from dbre.engines.postgres.setting_changes import SettingChanges
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen
from dbre.ports.settings import SettingState

__all__ = ["ArchiveFailure", "Forced"]

_FAILS = "/bin/false"


class Forced(ABC):
    """One parameter that a reload is enough for."""

    parameter: str

    def __init__(self, access: Access, tag: str) -> None:
        self.access = access
        self.tag = tag

    @abstractmethod
    def wanted(self, asked: Mapping[str, Any]) -> str:
        """The bad value."""

    @abstractmethod
    async def check(self) -> None:
        """See that it would have an effect. Raises: PrecheckFailed."""

    @abstractmethod
    async def detail(self, note: Mapping[str, Any]) -> str:
        """What comes of it."""

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep what is stored now."""
        await self.check()
        async with self._changes() as changes:
            before, forced = await changes.foresee_forced(self.parameter, self.wanted(asked))
        if before.stored == forced:
            raise PrecheckFailed(f"{self.parameter} at {self.access.address} is that already", hint="see who set it")
        return {
            **asked,
            "stored": before.stored,
            "value": before.value,
            "source": before.source,
            "forced": forced,
            **await self.more(),
        }

    async def more(self) -> Mapping[str, Any]:
        """What else is to be remembered."""
        return {}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store the bad value and wait until the server shows it."""
        async with self._changes() as changes:
            await changes.force(self.parameter, note["forced"])
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:  # noqa: B027 - the server keeps it
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask what is stored and shown."""
        async with self._changes() as changes:
            now = await changes.state(self.parameter)
        is_on = now.stored == note["forced"]
        shown = (
            printable(now.value, limit=100) if is_on else "as before" if now.stored == note["stored"] else "changed by others"
        )
        return Seen(is_on, f"{self.parameter} is {shown}; {await self.detail(note)}")

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put back what was stored, unless somebody else has stored something meanwhile."""
        async with self._changes() as changes:
            now = await changes.state(self.parameter)
            if now.stored == note["forced"]:
                before = SettingState(
                    name=self.parameter,
                    value=note["value"],
                    stored=note["stored"],
                    source=note["source"],
                    is_pending_restart=False,
                )
                await changes.restore(before)

    @asynccontextmanager
    async def _changes(self) -> AsyncIterator[SettingChanges]:
        link = Link(self.access, clock=SystemClock())
        try:
            yield SettingChanges(link)
        finally:
            await link.aclose()


class ArchiveFailure(Forced):
    """``archive_command`` fails: log piles up on the server and nothing new can be restored."""

    parameter = "archive_command"

    def wanted(self, asked: Mapping[str, Any]) -> str:  # noqa: ARG002 - there is nothing to choose
        """A program that always fails."""
        return _FAILS

    async def check(self) -> None:
        """See that the server archives by a command."""
        found = await self._archiving()
        if found.mode == "off" or found.library:
            how = "does not archive" if found.mode == "off" else "archives by a library"
            raise PrecheckFailed(f"PostgreSQL at {self.access.address} {how}", hint="freeze its archiver: freeze only=archiver")

    async def more(self) -> Mapping[str, Any]:
        """How often it failed before."""
        return {"failed": int((await self._archiving()).failed_count)}

    async def detail(self, note: Mapping[str, Any]) -> str:
        """How often it failed since."""
        found = await self._archiving()
        failures = counted(max(found.failed_count - note["failed"], 0), "failure")
        return f"{failures} since, {counted(found.archived_count, 'file')} archived in all"

    async def _archiving(self) -> Any:
        async with asking(self.access, what="chaos") as questions:
            return await questions.row("mischief_archiving")
