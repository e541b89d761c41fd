"""What drills stand on; the composition root builds it."""

from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.ha.clients.ground import ClientGround
from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.drills.config_document import DrillDocument
from dbre.capabilities.ha.drills.faults import Faults
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry

__all__ = ["DrillGround"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillGround:
    """What drills stand on."""

    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    settings: HaDocument
    clients: ClientGround
    faults: Faults
    directory: Path  # of the histories of clients, 0700
    store: Store | None  # None: plans can be made, and nothing is kept

    def rules(self, cluster: str) -> DrillDocument:
        """What the configuration says of drills of a cluster."""
        return self.settings.of(cluster).drill or DrillDocument.model_validate({})
