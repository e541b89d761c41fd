"""One server stopped and started again: idempotent, so that it may be done again after a crash, and once where once is due."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.wholeness import NotWhole, primaries_of, primary_of, wait_primary, wait_replica
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.ports.session import Role
from dbre.ports.steward import Steward
from dbre.ports.succession import HostPort

__all__ = ["Member", "mark_of"]

_SAME_START_SECONDS = 1.5  # engines that tell their uptime do so in whole seconds

Between = Callable[[], Awaitable[None]]


async def mark_of(ground: UpgradeGround, cluster: Cluster, instance: Instance, *, purpose: str) -> dict[str, Any]:
    """What tells this run of a server from a later one: its main process, and when it was started by its own word."""
    process = None
    if ground.steward_of(cluster) is None:
        state = await ground.host(cluster, instance).state()
        process = state.processes[0] if state.processes else None
    async with ground.server(cluster, instance, purpose=purpose) as server:
        started = (await server.session.identify()).started_at
    return {
        "process": process,
        "started": started.timestamp() if started is not None else None,
    }


class Member:
    """One instance of a cluster whose servers are restarted."""

    def __init__(self, ground: UpgradeGround, cluster: Cluster, instance: Instance, *, purpose: str) -> None:
        self._ground = ground
        self._cluster = cluster
        self.instance = instance
        self._purpose = purpose
        self._limits = ground.limits(cluster.name)
        self._steward = ground.steward_of(cluster)
        self._role: Role | None = None  # what it was found to be

    @property
    def host(self) -> HostPort:
        """Its process. Raises: NoControl."""
        return self._ground.host(self._cluster, self.instance)

    async def is_up(self) -> bool:
        """Whether it answers."""
        try:
            async with self._ground.server(self._cluster, self.instance, purpose=self._purpose) as server:
                await server.session.identify()
        except DbreError:
            return False
        return True

    async def is_restarted_since(self, mark: Mapping[str, Any]) -> bool:
        """Whether another process answers than the one of the mark."""
        if not await self.is_up():
            return False
        now = await mark_of(self._ground, self._cluster, self.instance, purpose=self._purpose)
        if mark["process"] is not None and now["process"] is not None:
            return bool(mark["process"] != now["process"])
        if mark["started"] is None or now["started"] is None:
            return False
        return bool(now["started"] - mark["started"] > _SAME_START_SECONDS)

    async def require_role(self, *, is_primary: bool) -> Instance | None:
        """See that it is what the plan takes it for, and that the others stand; gives the primary it follows.

        One that does not answer was stopped by this operation before it was interrupted, or fell: it is started again.
        Raises: NotWhole where it is not, and then it is not stopped.
        """
        self._role = Role.PRIMARY if is_primary else Role.REPLICA
        if is_primary:
            for one in await primaries_of(self._ground, self._cluster, purpose=self._purpose, besides=self.instance):
                if one.name != self.instance.name:  # also where this one is stopped: two would take writes
                    raise self._changed(one)
            return None
        found = await self.primary()
        if found.name == self.instance.name:
            raise self._changed(found)
        return found

    async def primary(self) -> Instance:
        """Who takes writes now; this one may be silent. Raises: NotWhole where another one is."""
        return await primary_of(self._ground, self._cluster, purpose=self._purpose, besides=self.instance)

    async def restart(self, *, between: Between | None = None) -> None:
        """Stop it in order, do what is to be done while it is stopped, start it; also where that failed, before it is told.

        A steward does both at once, so ``between`` is done while the server still runs.
        """
        if self._steward is not None:
            if between is not None:
                await between()
            await self._by_steward(self._steward)
            return
        host = self.host
        await host.stop(limit_seconds=self._limits.stop.total_seconds())
        if between is not None:
            await self._do_while_stopped(host, between)
        await host.start(limit_seconds=self._limits.start.total_seconds())

    async def start(self) -> None:
        """Start it where it is stopped."""
        if self._steward is not None:
            await self._by_steward(self._steward)
            return
        await self.host.start(limit_seconds=self._limits.start.total_seconds())

    async def wait_whole(self, primary: Instance | None) -> Mapping[str, Any]:
        """Until it is as before. ``primary``: whom it follows; None: it is the primary itself."""
        if primary is None:
            return await wait_primary(self._ground, self._cluster, self.instance, purpose=self._purpose)
        return await wait_replica(self._ground, self._cluster, self.instance, primary, purpose=self._purpose)

    async def _do_while_stopped(self, host: HostPort, between: Between) -> None:
        try:
            await between()
        except DbreError as error:
            try:  # it may be the primary, and nobody can write while it is down: what was there before is tried
                await host.start(limit_seconds=self._limits.start.total_seconds())
            except DbreError as problem:
                error.add_note(f"and it does not start as it is: {problem.message}")
            raise

    async def _by_steward(self, steward: Steward) -> None:
        seconds = (self._limits.stop + self._limits.start).total_seconds()
        await steward.restart(self._cluster, self.instance, role=self._role, limit_seconds=seconds)

    def _changed(self, primary: Instance) -> NotWhole:
        return NotWhole(
            f"{primary.name} is the primary of {self._cluster.name} now, which the plan does not go by",
            hint="the primary changed meanwhile; plan again",
            context={"primary": primary.name},
        )
