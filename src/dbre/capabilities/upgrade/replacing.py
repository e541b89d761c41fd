"""Programs of one instance replaced, or put back, by the operator's own command, and seen to run afterwards."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.installed import installed_version, run_command
from dbre.capabilities.upgrade.restarting import Member
from dbre.capabilities.upgrade.versions import is_same_series
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.ports.versions import format_version, parse_version

__all__ = ["Replacing"]


class Replacing:
    """One member whose programs change."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, member: Member, *, purpose: str) -> None:
        self._ground = ground
        self._cluster = cluster
        self._member = member
        self._purpose = purpose
        self._commands = ground.limits(cluster.name).commands_of(member.instance.name)

    async def running(self) -> tuple[int, ...]:
        """What the server says of itself."""
        async with self._ground.server(self._cluster, self._member.instance, purpose=self._purpose) as server:
            return (await server.succession.standing()).version

    async def installed(self) -> tuple[int, ...] | None:
        """What its next start runs; None where nobody can tell."""
        return await installed_version(self._ground, self._cluster, self._member.instance)

    async def install(self, on_disk: str | None) -> None:
        """Run the command of the configuration, unless it ran before: ``on_disk`` is the version that lay there when planned.

        Raises: ProgramFailed with what it printed.
        """
        if self._commands is None or self._commands.install is None:
            return
        if on_disk is not None and await self._lies_there() not in (None, parse_version(on_disk)):
            return  # who was killed had it done already
        await run_command(self._commands.install, limit_seconds=self._commands.limit.total_seconds())

    async def _lies_there(self) -> tuple[int, ...] | None:
        try:
            return await self.installed()
        except DbreError:
            return None  # a program that is half there says nothing: it is replaced again

    async def put_back(self) -> None:
        """Likewise, the other way. Raises: NotWhole where none is configured."""
        if self._commands is None or self._commands.put_back is None:
            raise NotWhole(
                f"nobody says how the programs of {self._member.instance.name} are put back",
                hint="put them back by hand, start it, and set upgrade: clusters: commands: put_back",
            )
        await run_command(self._commands.put_back, limit_seconds=self._commands.limit.total_seconds())

    async def require_installed(self, before: tuple[int, ...]) -> Mapping[str, Any]:
        """See that what runs is what is installed, and of the same series. Raises: NotWhole."""
        now, installed = await self.running(), await self.installed()
        name = self._member.instance.name
        if installed is not None and now != installed:
            raise NotWhole(f"{name} runs {format_version(now)} after its restart, {format_version(installed)} is installed")
        if not is_same_series(before, now):
            raise NotWhole(
                f"{name} ran {format_version(before)} and runs {format_version(now)}: that is no minor step",
                hint="only the last number may differ",
            )
        if now < before:
            raise NotWhole(f"{name} ran {format_version(before)} and runs {format_version(now)}: that is an older one")
        return {"version": format_version(now), "before": format_version(before)}
