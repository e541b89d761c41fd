"""What a drill restores from, as the catalog stands when it begins."""

from dataclasses import dataclass

from dbre.capabilities.backup.catalog.canaries import list_witnesses
from dbre.capabilities.backup.catalog.clock import ClockSample, list_samples
from dbre.capabilities.backup.catalog.loading import read_catalog
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.model import Catalog, WitnessedCanary
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.core.store import Store

__all__ = ["Known", "load_known", "plan_drill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that the state store knows of one cluster's backups, read in one snapshot."""

    catalog: Catalog
    samples: tuple[ClockSample, ...]
    witnesses: tuple[WitnessedCanary, ...]


async def load_known(store: Store, cluster: str) -> Known:
    """Read it."""
    async with store.read() as connection:
        return Known(
            catalog=await read_catalog(connection, cluster),
            samples=tuple(await list_samples(connection, cluster)),
            witnesses=tuple(await list_witnesses(connection, cluster)),
        )


def plan_drill(known: Known, order: DrillOrder) -> RestorePlan:
    """The plan of the restore that the drill makes. Raises: NoSetForTarget, InvalidTarget, Conflict."""
    choice = RestoreChoice(position=order.position, set_id=order.set_id)
    return plan_restore(known.catalog, order.target, now=order.asked_at, clock_samples=known.samples, choice=choice)
