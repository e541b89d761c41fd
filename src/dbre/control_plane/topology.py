"""What the pages show of who is primary, of who could be next, and of how it went when that was drilled."""

from datetime import timedelta

from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.drills.standing import DrillLook, look_at_drills
from dbre.capabilities.ha.kept_nodes import KeptNodes
from dbre.capabilities.ha.shared import Shared
from dbre.capabilities.ha.sweeps import Sweep, Sweeps, sweep
from dbre.capabilities.ha.switchover.building import switchover_ground
from dbre.capabilities.ha.switchover.forecast import NextSwitchover, next_switchover
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["drill_looks", "topology_looks"]

_FORECAST_FRESH = timedelta(seconds=10)  # it asks each server, process and route; who could be next seldom changes
_DRILLS_FRESH = timedelta(seconds=10)  # it asks Patroni for its settings


def topology_looks(
    config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store, nodes: KeptNodes
) -> tuple[Sweeps, Shared[NextSwitchover]]:
    """Sweeps over sessions that are kept while pages are read, and forecasts that go on from them."""
    ground = switchover_ground(config, fleet, engines, clock, store)

    async def look(cluster: Cluster) -> Sweep:
        async with nodes.of(cluster.name) as kept:
            return await sweep(engines, fleet, cluster, clock, config.get(HA), nodes=kept)

    sweeps = Sweeps(look, clock)

    async def forecast(cluster: Cluster) -> NextSwitchover:
        status = (await sweeps.of(cluster)).status
        return await next_switchover(ground, cluster, seen=(status.topology, status.lags))

    return sweeps, Shared(forecast, clock, fresh=_FORECAST_FRESH)


def drill_looks(config: Config, clock: Clock, store: Store) -> Shared[DrillLook]:
    """How drills stand, held against what settings promise now."""
    return Shared(lambda one: look_at_drills(store, config.get(HA), clock, one), clock, fresh=_DRILLS_FRESH)
