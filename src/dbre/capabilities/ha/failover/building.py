"""What failovers stand on, made of a configuration."""

import os

from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.route.building import routes_of
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Fleet
from dbre.core.programs.account import choose_account
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["failover_ground"]


def failover_ground(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None) -> FailoverGround:
    """Without ``store`` no report of an observer can be read."""
    settings = config.get(HA)
    return FailoverGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        settings=settings,
        store=store,
        routes=lambda cluster: routes_of(settings, cluster),
        account=lambda: choose_account(os.environ),
    )
