"""Backups of the control plane: what pages and the API show of them, and what is always under way for them."""

from dbre.assembly import backup_ground
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry
from dbre.web.services import BackupServices

__all__ = ["PlaneBackups"]


class PlaneBackups:
    """What the control plane knows of backups."""

    def __init__(self, config: Config, fleet: Fleet, engines: EngineRegistry, *, store: Store, clock: Clock) -> None:
        self._ground = backup_ground(config, fleet, engines, clock, store)
        self._exposures: dict[str, float] = {}

    def services(self) -> BackupServices:
        """What pages and the API show."""
        return BackupServices(ground=self._ground, exposure_seconds=self._exposures.get)
