"""A replication slot that nobody uses: the server keeps its log for it."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import PrecheckFailed
from dbre.core.units import format_bytes
from dbre.engines.postgres.backup.asking import asking
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen

__all__ = ["SlotLeak"]


class SlotLeak:
    """A physical slot of the deed's name; where it keeps more than was allowed, it is moved on."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self._slot = tag.replace(":", "_")

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that the name is free."""
        if await self._found():
            raise PrecheckFailed(f"{self._access.address} has a slot {self._slot} already")
        return {**asked, "slot": self._slot}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make it, and let it keep log from now on."""
        async with asking(self._access, what="chaos") as questions:
            made = await questions.row("mischief_slot_make", note["slot"])
        return {**note, "since": made.lsn}

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Keep the limit: the server's disk is not to fill by it."""
        found = await self._found()
        if found and found[0].kept is not None and found[0].kept > note["most"]:
            async with asking(self._access, what="chaos") as questions:
                await questions.row("mischief_slot_advance", note["slot"])

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Ask for it."""
        found = await self._found()
        if not found:
            return Seen(False, f"there is no slot {note['slot']}")
        return Seen(True, f"slot {note['slot']} keeps {format_bytes(found[0].kept or 0)}, wal_status {found[0].wal_status}")

    async def end(self, note: Mapping[str, Any]) -> None:
        """Drop it."""
        if await self._found():
            async with asking(self._access, what="chaos") as questions:
                await questions.row("mischief_slot_drop", note["slot"])

    async def _found(self) -> list[Any]:
        async with asking(self._access, what="chaos") as questions:
            return await questions.rows("mischief_slot", self._slot)
