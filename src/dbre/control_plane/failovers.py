"""Failovers of the control plane: it is an observer itself, weighs what all of them say, and acts where it may."""

from collections.abc import Awaitable, Callable, Mapping

from dbre.assembly import failover_ground
from dbre.capabilities.ha.failover.guarding import Guard, Tell
from dbre.capabilities.ha.failover.surveying import KIND, RELEASE
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.errors import DbreError
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.desk import OperationDesk, Submission
from dbre.core.operation.states import OperationState
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["PlaneFailovers"]

Part = Callable[[], Awaitable[None]]
_SELF = Principal(name="failover", kind=PrincipalKind.SYSTEM, grants=(Grant(role=Role.OPERATOR),))
"""Who asks for automatic failovers: that they are allowed stands in the configuration, which administrators write."""
_LOOK_SECONDS = 0.5
_ENDED = (OperationState.NEEDS_OPERATOR,)


class PlaneFailovers:
    """What the control plane does for clusters that have observers."""

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        engines: EngineRegistry,
        clock: Clock,
        *,
        store: Store,
        desk: Callable[[Principal], OperationDesk],
        tell: Tell,
    ) -> None:
        self._desk = desk
        self._clock = clock
        ground = failover_ground(config, fleet, engines, clock, store)
        self._settings = ground.settings
        self._guard = Guard(ground, store, ask=self._ask, tell=tell)

    def parts(self) -> Mapping[str, Part]:
        """What is to run until the control plane stops."""
        return {"ha-observer": self._guard.observe, "ha-guard": self._guard.watch}

    async def _ask(self, cluster: str, primary: str) -> None:
        desk = self._desk(_SELF)
        asked = {"cluster": cluster, "primary": primary, "automatic": True}
        reason = f"most observers do not hear {primary} any more"
        wanted = Submission(reason=reason, confirm=cluster, fail_if_busy=True, priority=9)
        kind = RELEASE if self._settings.of(cluster).patroni is not None else KIND
        record = await desk.request(kind, asked, wanted)
        while not record.is_final and record.state not in _ENDED:
            await self._clock.sleep(_LOOK_SECONDS)
            record = await desk.get(record.id)
        if record.state is not OperationState.SUCCEEDED:
            raise DbreError(f"the failover of {cluster} ended as {record.state.value}", hint=f"dbre op show {record.id}")
