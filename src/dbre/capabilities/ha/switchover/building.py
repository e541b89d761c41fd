"""What planned changes of primary stand on, made of a configuration."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.patroni.hand_over import PatroniHandOver
from dbre.capabilities.ha.route.building import routes_of
from dbre.capabilities.ha.sentinel.hand_over import SentinelHandOver
from dbre.capabilities.ha.switchover.ground import SwitchoverGround, Timing
from dbre.capabilities.ha.switchover.handing_over import HandOver
from dbre.capabilities.ha.switchover.other_work import OtherWork, Rehearsal, stored_rehearsal, stored_work
from dbre.capabilities.ha.switchover.timing import stored_timing
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.core.store.errors import StoreMissing
from dbre.ports.engine import EngineRegistry
from dbre.ports.runtime import Runtime

__all__ = ["DISTURBING", "ground_of_command", "switchover_ground"]

DISTURBING = ("backup.take", "chaos.run", "chaos.suite")
"""Kinds of operations that a change of primary would break, or whose outcome it would spoil."""


def switchover_ground(
    config: Config,
    fleet: Fleet,
    engines: EngineRegistry,
    clock: Clock,
    store: Store | None,
    *,
    disturbing: Sequence[str] = DISTURBING,
) -> SwitchoverGround:
    """Without ``store`` nobody knows how long the last one took. ``disturbing`` kinds must not be at work meanwhile."""
    settings = config.get(HA)

    def hand_over_of(cluster: Cluster) -> HandOver | None:
        document = settings.of(cluster.name)
        if document.patroni is not None:
            return PatroniHandOver(document.patroni, fleet, clock)
        return SentinelHandOver(document.sentinel, fleet, ground.server) if document.sentinel is not None else None

    async def last_timing(cluster: str) -> Timing | None:
        return await stored_timing(store, cluster) if store is not None else None

    async def other_work(cluster: str) -> Sequence[OtherWork] | None:
        return await stored_work(store, cluster, disturbing) if store is not None else None

    async def rehearsal(cluster: str) -> Rehearsal | None:
        return await stored_rehearsal(store, cluster) if store is not None else None

    ground = SwitchoverGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        settings=settings,
        routes=lambda cluster: routes_of(settings, cluster),
        hand_over_of=hand_over_of,
        last_timing=last_timing,
        other_work=other_work,
        rehearsal=rehearsal,
    )
    return ground


@asynccontextmanager
async def ground_of_command(parts: Runtime) -> AsyncIterator[SwitchoverGround]:
    """What a command that only looks stands on. Raises: what opening the state store raises, but for one that is not there."""
    async with AsyncExitStack() as stack:
        store: Store | None = None
        try:
            store = await stack.enter_async_context(parts.open_store())
        except StoreMissing:
            store = None  # nothing was ever changed by dbre: so nothing was measured
        yield switchover_ground(parts.config, parts.fleet, parts.engines, parts.clock, store)
