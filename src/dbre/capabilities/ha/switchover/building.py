"""What planned changes of primary stand on, made of a configuration."""

from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.patroni.hand_over import PatroniHandOver
from dbre.capabilities.ha.route.building import routes_of
from dbre.capabilities.ha.switchover.ground import SwitchoverGround, Timing
from dbre.capabilities.ha.switchover.handing_over import HandOver
from dbre.capabilities.ha.switchover.timing import stored_timing
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["switchover_ground"]


def switchover_ground(
    config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None
) -> SwitchoverGround:
    """Without ``store`` nobody knows how long the last one took."""
    settings = config.get(HA)

    def hand_over_of(cluster: Cluster) -> HandOver | None:
        patroni = settings.of(cluster.name).patroni
        return PatroniHandOver(patroni, fleet, clock) if patroni is not None else None

    async def last_timing(cluster: str) -> Timing | None:
        return await stored_timing(store, cluster) if store is not None else None

    return SwitchoverGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        settings=settings,
        routes=lambda cluster: routes_of(settings, cluster),
        hand_over_of=hand_over_of,
        last_timing=last_timing,
    )
