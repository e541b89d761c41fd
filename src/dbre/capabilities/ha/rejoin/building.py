"""What rejoining stands on, made of a configuration."""

import os
from pathlib import Path

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.switchover.building import switchover_ground
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Fleet
from dbre.core.programs.account import choose_account
from dbre.core.programs.cache import cache_directory
from dbre.core.store import Store
from dbre.core.store.address import SqliteAddress, parse_store_url
from dbre.core.store.document import STATE
from dbre.ports.backup.model import Place
from dbre.ports.engine import EngineRegistry

__all__ = ["rejoin_ground"]


def rejoin_ground(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None) -> RejoinGround:
    """Files of lost writes lie beside the state store, or beside the configuration."""
    address = parse_store_url(config.get(STATE).url, directory=config.directory_of("state.url"))
    beside: Path = address.path.parent if isinstance(address, SqliteAddress) else config.directory

    def find_place() -> Place:
        account = choose_account(os.environ)
        return Place(account=account, cache=cache_directory(account, os.environ))

    return RejoinGround(
        servers=switchover_ground(config, fleet, engines, clock, store),
        directory=beside / "ha" / "lost-writes",
        find_place=find_place,
    )
