"""Settings that a server reads from a file when it starts, and dbre writes there; what counts without a start, at once."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.upgrade.member_settings import Changes, OwnSettings
from dbre.capabilities.upgrade.setting_steps import state_from
from dbre.ports.engine import Server

__all__ = ["FileSettings"]


class FileSettings(OwnSettings):
    """Kept in ``settings_file`` of the instance."""

    @property
    def hides(self) -> str:
        """Its command line, or a file that is read later."""
        return "see that its own file includes settings_file last, and that its command line does not set them"

    async def store(self, changes: Changes) -> bool:
        """Write them; where none waits for a start, the running server has them at once."""
        kept = await self._member.host.kept_settings() or {}
        for one in changes:
            found = kept.get(one["name"].lower())
            if found not in (one["before"]["stored"], one["stored"]):
                raise self.changed_by_others(one["name"], found)
        await self._member.host.keep_settings({one["name"]: one["stored"] for one in changes})
        needs_start = any(one.get("needs_start", True) for one in changes)
        async with self.server() as server:
            for one in changes:
                if await self._has(server, one):
                    continue
                if needs_start:
                    return True
                await server.settings.change(one["name"], one["value"], is_kept_elsewhere=True)
        return False

    async def forget(self, changes: Changes) -> None:
        """What the file held before."""
        kept = await self._member.host.kept_settings() or {}
        await self._member.host.keep_settings(
            {one["name"]: one["before"]["stored"] for one in changes if kept.get(one["name"].lower()) == one["stored"]}
        )

    async def have_before(self, changes: Changes) -> bool:
        """The file, and the running server where that needs no start."""
        await self.forget(changes)
        is_due = False
        async with self.server() as server:
            for one in reversed(changes):
                before = state_from(one["before"])
                if (await server.settings.state(before.name)).value == before.value:
                    continue
                if one.get("needs_start", True):
                    is_due = True
                else:
                    await server.settings.restore(before, is_kept_elsewhere=True)
        return is_due

    async def _has(self, server: Server, wanted: Mapping[str, Any]) -> bool:
        """By the engine's own rule of what means the same: nothing of it was stored by the server."""
        return (await server.settings.foresee(wanted["name"], wanted["value"], is_kept_elsewhere=True)).is_already
