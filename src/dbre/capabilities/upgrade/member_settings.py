"""Settings of one server, wherever they are kept: in effect, and put back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.restarting import Member
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.errors import Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.errors import PlanChanged
from dbre.core.text import printable
from dbre.ports.engine import Server
from dbre.ports.settings import SettingNotInEffect

__all__ = ["Changes", "MemberSettings", "OwnSettings"]

Changes = Sequence[Mapping[str, Any]]


class MemberSettings(ABC):
    """What is done to the settings of one member; everything is idempotent."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, member: Member, *, purpose: str) -> None:
        self._ground = ground
        self._cluster = cluster
        self._member = member
        self._purpose = purpose

    @property
    @abstractmethod
    def hides(self) -> str:
        """What to look at where a server does not have what is kept for it."""

    @abstractmethod
    async def store(self, changes: Changes) -> bool:
        """Store them; whether a restart is due now. Raises: PlanChanged where somebody else changed one meanwhile."""

    @abstractmethod
    async def put_back(self, changes: Changes, primary: Instance | None, *, restarts: bool) -> None:
        """What was stored before is stored again; where the server runs with the new values, or not at all, it is restarted.

        Raises: NotWhole where that was due, and it is not whole; Unreachable where one that is not to be restarted went silent.
        """

    async def require_in_effect(self, changes: Changes) -> list[dict[str, Any]]:
        """See that the server has them. Raises: SettingNotInEffect."""
        found = []
        async with self.server() as server:
            for wanted in changes:
                state = await server.settings.state(wanted["name"])
                if not await self._has(server, wanted):
                    raise SettingNotInEffect(
                        f"{self._member.instance.name} has {state.name} = {printable(state.value, limit=100)}, not "
                        f"{printable(wanted['value'], limit=100)}, which is kept for it",
                        hint=self.hides,
                    )
                found.append({"name": state.name, "before": wanted["before"]["value"], "value": state.value})
        return found

    async def _has(self, server: Server, wanted: Mapping[str, Any]) -> bool:
        state = await server.settings.state(wanted["name"])
        return state.value == wanted["value"] and not state.is_pending_restart

    def changed_by_others(self, name: str, found: str | None) -> PlanChanged:
        """The error of a parameter that is stored as neither before nor after."""
        return PlanChanged(
            f"{self._member.instance.name}: {name} is stored as {printable(str(found), limit=100)} now, "
            "and was not when it was planned",
            hint="somebody changed it meanwhile; plan again",
            context={"instance": self._member.instance.name, "parameter": name},
        )

    def server(self) -> AbstractAsyncContextManager[Server]:
        """The server itself."""
        return self._ground.server(self._cluster, self._member.instance, purpose=self._purpose)


class OwnSettings(MemberSettings):
    """Kept for one server alone: by itself, or in a file that it reads."""

    @abstractmethod
    async def forget(self, changes: Changes) -> None:
        """What was stored before is stored again; what others stored meanwhile is theirs. The server may be stopped."""

    @abstractmethod
    async def have_before(self, changes: Changes) -> bool:
        """``forget`` where the server runs, and what counts at once is in effect again; whether a restart is due for more."""

    async def put_back(self, changes: Changes, primary: Instance | None, *, restarts: bool) -> None:
        """Where it is stopped, its file is put back first; one that runs is restarted where it has the new values alone."""
        is_due: bool | None = None
        if await self._member.is_up():
            try:
                is_due = await self.have_before(changes)
            except Unreachable:  # with its new values it may let one of us in, and the next one not
                if not restarts:  # it runs on, so that its file alone would be no way back of what counts at once
                    raise
        if is_due is None:
            await self._put_back_stopped(changes, restarts=restarts)
        elif is_due and restarts:
            await self._member.restart()
        if not restarts:
            return
        try:
            await self._member.wait_whole(primary)
        except NotWhole:  # one that runs with what it had, and was not whole before, is not to be mended here
            if is_due is not False:
                raise

    async def _put_back_stopped(self, changes: Changes, *, restarts: bool) -> None:
        if restarts:  # it may hang, or start for ever
            limits = self._ground.limits(self._cluster.name)
            await self._member.host.stop(limit_seconds=limits.stop.total_seconds())
        await self.forget(changes)
        if restarts:
            await self._member.start()
