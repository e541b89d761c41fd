"""The next planned change of primary, as commands tell it."""

from dbre.capabilities.ha.looking import Status
from dbre.capabilities.ha.switchover.building import ground_of_command, switchover_ground
from dbre.capabilities.ha.switchover.forecast import NextSwitchover, is_worth_asking, next_switchover, unknown_switchover
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.ports.runtime import Runtime

__all__ = ["forecast"]


async def forecast(parts: Runtime, cluster: Cluster, seen: Status) -> NextSwitchover | None:
    """What would be done now; None where that is not worth asking."""
    if not is_worth_asking(cluster, seen.topology):
        return None
    try:
        async with ground_of_command(parts) as ground:
            return await next_switchover(ground, cluster, seen=(seen.topology, seen.lags))
    except DbreError as error:  # the state store: who is primary is told without it
        ground = switchover_ground(parts.config, parts.fleet, parts.engines, parts.clock, None)
        return unknown_switchover(ground, cluster, error.message)
