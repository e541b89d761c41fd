"""Settings that a server reads from a file when it starts, and dbre writes there."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.restarting import Member
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.errors import PlanChanged
from dbre.core.text import printable
from dbre.ports.settings import SettingNotInEffect

__all__ = ["FileSettings"]

Changes = Sequence[Mapping[str, Any]]


class FileSettings:
    """What is done to the settings of one member (as ``SettingActs``, of which it is the counterpart); idempotent."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, member: Member, *, purpose: str) -> None:
        self._ground = ground
        self._cluster = cluster
        self._member = member
        self._purpose = purpose

    async def store(self, changes: Changes) -> bool:
        """Write them; whether a restart is due now. Raises: PlanChanged where somebody else changed the file meanwhile."""
        kept = await self._member.host.kept_settings() or {}
        for one in changes:
            found = kept.get(one["name"].lower())
            if found not in (one["before"]["stored"], one["stored"]):
                raise PlanChanged(
                    f"the file of settings of {self._member.instance.name} has {one['name']} = "
                    f"{printable(str(found), limit=100)} now, and had not when it was planned",
                    hint="somebody changed it meanwhile; plan again",
                    context={"instance": self._member.instance.name, "parameter": one["name"]},
                )
        await self._member.host.keep_settings({one["name"]: one["stored"] for one in changes})
        return not await self._shows(changes)

    async def require_in_effect(self, changes: Changes) -> list[dict[str, Any]]:
        """See that the server has them. Raises: SettingNotInEffect."""
        if not await self._shows(changes):
            raise SettingNotInEffect(
                f"{self._member.instance.name} was started with {', '.join(one['name'] for one in changes)} in its file of "
                "settings, and has other values",
                hint="see that its own file includes settings_file last, and that its command line does not set them",
            )
        return [{"name": one["name"], "before": one["before"]["value"], "value": one["value"]} for one in changes]

    async def put_back(self, changes: Changes, primary: Instance | None, *, restarts: bool) -> None:
        """What the file held before; where the server runs with the new values, or not at all, it is restarted."""
        kept = await self._member.host.kept_settings() or {}
        await self._member.host.keep_settings(
            {one["name"]: one["before"]["stored"] for one in changes if kept.get(one["name"].lower()) == one["stored"]}
        )
        if not restarts:
            return
        if not await self._member.is_up() or await self._has_any(changes):
            await self._member.restart()
        await self._member.wait_whole(primary)

    async def _shows(self, changes: Changes) -> bool:
        async with self._ground.server(self._cluster, self._member.instance, purpose=self._purpose) as server:
            return all(
                [
                    (await server.settings.foresee(one["name"], one["value"], is_kept_elsewhere=True)).is_already
                    for one in changes
                ]
            )

    async def _has_any(self, changes: Changes) -> bool:
        async with self._ground.server(self._cluster, self._member.instance, purpose=self._purpose) as server:
            return any(
                [
                    (await server.settings.foresee(one["name"], one["value"], is_kept_elsewhere=True)).is_already
                    for one in changes
                ]
            )
