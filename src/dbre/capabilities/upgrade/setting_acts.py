"""Settings of one server stored, seen to be in effect, and put back: also where it does not start with them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.restarting import Member
from dbre.capabilities.upgrade.setting_steps import state_from
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.errors import PlanChanged
from dbre.core.text import printable
from dbre.ports.engine import Server
from dbre.ports.settings import SettingNotInEffect, SettingState

__all__ = ["SettingActs"]

Changes = Sequence[Mapping[str, Any]]


class SettingActs:
    """What is done to the settings of one member; everything is idempotent."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, member: Member, *, purpose: str) -> None:
        self._ground = ground
        self._cluster = cluster
        self._member = member
        self._purpose = purpose

    async def store(self, changes: Changes) -> bool:
        """Store them; whether a restart is due now. Raises: PlanChanged where somebody else changed one meanwhile."""
        is_due = False
        async with self._server() as server:
            for wanted in changes:
                state = await server.settings.state(wanted["name"])
                if state.stored != wanted["stored"] or (state.value != wanted["value"] and not state.is_pending_restart):
                    self._require_as_planned(state, wanted)
                    state = await server.settings.change(wanted["name"], wanted["request"])
                is_due = is_due or state.is_pending_restart
        return is_due

    async def require_in_effect(self, changes: Changes) -> list[dict[str, Any]]:
        """See that the server has them. Raises: SettingNotInEffect."""
        found = []
        async with self._server() as server:
            for wanted in changes:
                state = await server.settings.state(wanted["name"])
                if state.value != wanted["value"] or state.is_pending_restart:
                    raise SettingNotInEffect(
                        f"{self._member.instance.name} has {state.name} = {printable(state.value, limit=100)} restarted, "
                        f"not {printable(wanted['value'], limit=100)}",
                        hint="its command line or another file hides what is stored",
                    )
                found.append({"name": state.name, "before": wanted["before"]["value"], "value": state.value})
        return found

    async def put_back(self, changes: Changes, primary: Instance | None, *, restarts: bool) -> None:
        """What was stored before is stored again; where the server runs with the new values, or not at all, it is restarted.

        Raises: NotWhole where it was restarted, and is not whole.
        """
        is_due = True
        if not await self._member.is_up():
            await self._put_back_stopped(changes)
        elif (is_due := await self._put_back_running(changes)) and restarts:
            await self._member.restart()
        if restarts:
            await self._wait_whole(primary, is_ours=is_due)

    async def _wait_whole(self, primary: Instance | None, *, is_ours: bool) -> None:
        try:
            await self._member.wait_whole(primary)
        except NotWhole:  # one that runs with what it had, and was not whole before, is not to be mended here
            if is_ours:
                raise

    async def _put_back_running(self, changes: Changes) -> bool:
        is_due = False
        async with self._server() as server:
            for wanted in reversed(changes):
                before = state_from(wanted["before"])
                await self._restore(server, before, wanted)
                is_due = is_due or (await server.settings.state(before.name)).value != before.value
        return is_due

    async def _restore(self, server: Server, before: SettingState, wanted: Mapping[str, Any]) -> None:
        now = await server.settings.state(before.name)
        if now.stored == wanted["stored"] != before.stored:  # what others stored meanwhile is theirs
            await server.settings.restore(before)

    async def _put_back_stopped(self, changes: Changes) -> None:
        limits = self._ground.limits(self._cluster.name)
        host = self._member.host
        await host.stop(limit_seconds=limits.stop.total_seconds())  # it may hang, or start for ever
        await host.keep_settings({one["name"]: one["before"]["stored"] for one in changes})
        await self._member.start()

    def _require_as_planned(self, state: SettingState, wanted: Mapping[str, Any]) -> None:
        if state.stored in (wanted["before"]["stored"], wanted["stored"]):
            return
        stored = printable(str(state.stored), limit=100)
        raise PlanChanged(
            f"{self._member.instance.name}: {state.name} is stored as {stored} now, and was not when it was planned",
            hint="somebody changed it meanwhile; plan again",
            context={"instance": self._member.instance.name, "parameter": state.name},
        )

    def _server(self) -> AbstractAsyncContextManager[Server]:
        return self._ground.server(self._cluster, self._member.instance, purpose=self._purpose)
