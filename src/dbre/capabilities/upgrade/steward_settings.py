"""Settings kept by who starts the servers: stored once for all of them, in effect on each when it is restarted."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.member_settings import Changes, MemberSettings
from dbre.capabilities.upgrade.restarting import Member
from dbre.core.errors import DbreError, Refused
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.errors import PlanChanged
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.settings import SettingNotInEffect
from dbre.ports.steward import Steward

__all__ = ["StewardSettings"]

_POLL_SECONDS = 0.25


class StewardSettings(MemberSettings):
    """Kept for every server of the cluster at once."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, member: Member, steward: Steward, *, purpose: str) -> None:
        super().__init__(ground, cluster, member, purpose=purpose)
        self._steward = steward

    @property
    def hides(self) -> str:
        """A file of the node's own."""
        return f"its own file of {self._steward.name} hides what is kept for all"

    async def keep(self, changes: Changes) -> None:
        """Have them stored; no server is restarted by that. Raises: PlanChanged where somebody else stored one meanwhile."""
        kept = await self._steward.settings(self._cluster)
        for one in changes:
            found = kept.get(one["name"])
            if found not in (one["before"]["stored"], one["stored"]):
                raise PlanChanged(
                    f"{self._steward.name} keeps {one['name']} = {printable(str(found), limit=100)} for "
                    f"{self._cluster.name} now, and did not when it was planned",
                    hint="somebody changed it meanwhile; plan again",
                    context={"parameter": one["name"]},
                )
        missing = {one["name"]: one["stored"] for one in changes if kept.get(one["name"]) != one["stored"]}
        if missing:
            await self._steward.store(self._cluster, missing)

    async def store(self, changes: Changes) -> bool:
        """``keep``, and wait until this server has seen it; whether a restart is due now. Raises: SettingNotInEffect."""
        await self.keep(changes)
        limit = await self._steward.pace_seconds(self._cluster)
        deadline = time.monotonic() + limit
        while True:
            waiting = await self._unseen(changes)
            if not waiting:
                return await self._is_due(changes)
            if time.monotonic() > deadline:
                raise SettingNotInEffect(
                    f"{self._steward.name} keeps {', '.join(waiting)}, and {format_duration(limit)} later "
                    f"{self._member.instance.name} neither has it nor waits for a restart",
                    hint=f"{self.hides}: take it out there",
                    context={"instance": self._member.instance.name},
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def forget(self, changes: Changes) -> None:
        """What was kept before is kept again; what others stored meanwhile is theirs."""
        kept = await self._steward.settings(self._cluster)
        back = {
            one["name"]: one["before"]["stored"]
            for one in changes
            if kept.get(one["name"]) == one["stored"] != one["before"]["stored"]
        }
        if back:
            await self._steward.store(self._cluster, back)

    async def put_back(self, changes: Changes, primary: Instance | None, *, restarts: bool) -> None:
        """``forget``; and where the server runs with the new values, or not at all, it is restarted. Raises: NotInEffect."""
        await self.forget(changes)
        if not restarts:
            return
        start = self._ground.limits(self._cluster.name).start.total_seconds()
        deadline = time.monotonic() + start + await self._steward.pace_seconds(self._cluster)
        while not await self._has_what_was(changes):
            if time.monotonic() > deadline:
                raise SettingNotInEffect(
                    f"{self._member.instance.name} does not run with what {self._steward.name} keeps again",
                    hint=f"see its log, and that of {self._steward.name}",
                    context={"instance": self._member.instance.name},
                )
            with suppress(Refused):  # a start with the new values that is not given up yet: it is asked again
                if not await self._member.is_up() or await self._waits(changes):
                    await self._member.restart()
            await asyncio.sleep(_POLL_SECONDS)
        await self._member.wait_whole(primary)

    async def _unseen(self, changes: Changes) -> list[str]:
        named = await self._named(changes)
        return [one["name"] for one in changes if one["name"] not in named and not await self._shows(one, one["value"])]

    async def _is_due(self, changes: Changes) -> bool:
        return any([not await self._shows(one, one["value"]) for one in changes])

    async def _has_what_was(self, changes: Changes) -> bool:
        try:
            return all([await self._shows(one, one["before"]["value"]) for one in changes])
        except DbreError:
            return False  # it does not run

    async def _waits(self, changes: Changes) -> bool:
        return bool(await self._named(changes))

    async def _named(self, changes: Changes) -> set[str]:
        """Those of them for which a restart is due, by the steward's word."""
        waits = await self._steward.waits_for_restart(self._cluster, self._member.instance)
        return {one["name"] for one in changes if one["name"].lower() in waits}

    async def _shows(self, one: Mapping[str, Any], value: str) -> bool:
        async with self.server() as server:
            return (await server.settings.state(one["name"])).value == value
