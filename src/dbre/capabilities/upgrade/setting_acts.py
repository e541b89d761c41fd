"""Settings that a server stores itself: also where it does not start with them."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.upgrade.member_settings import Changes, OwnSettings
from dbre.capabilities.upgrade.setting_steps import state_from
from dbre.ports.engine import Server

__all__ = ["SettingActs"]


class SettingActs(OwnSettings):
    """Stored by the server's own command; where it is stopped, in the file that it would have written."""

    @property
    def hides(self) -> str:
        """Its command line, or a file."""
        return "its command line or another file hides what is stored"

    async def store(self, changes: Changes) -> bool:
        """Store each that is not stored yet."""
        is_due = False
        async with self.server() as server:
            for wanted in changes:
                state = await server.settings.state(wanted["name"])
                if state.stored != wanted["stored"] or (state.value != wanted["value"] and not state.is_pending_restart):
                    if state.stored not in (wanted["before"]["stored"], wanted["stored"]):
                        raise self.changed_by_others(state.name, state.stored)
                    state = await server.settings.change(wanted["name"], wanted["request"])
                is_due = is_due or state.is_pending_restart
        return is_due

    async def forget(self, changes: Changes) -> None:
        """Written into its file."""
        await self._member.host.keep_settings({one["name"]: one["before"]["stored"] for one in changes})

    async def have_before(self, changes: Changes) -> bool:
        """By its own command."""
        is_due = False
        async with self.server() as server:
            for wanted in reversed(changes):
                await _restore(server, wanted)
                before = wanted["before"]
                is_due = is_due or (await server.settings.state(before["name"])).value != before["value"]
        return is_due


async def _restore(server: Server, wanted: Mapping[str, Any]) -> None:
    before = state_from(wanted["before"])
    now = await server.settings.state(before.name)
    if now.stored == wanted["stored"] != before.stored:
        await server.settings.restore(before)
