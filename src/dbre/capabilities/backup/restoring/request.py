"""From what was asked to a plan: the catalog of the state store or of a vault alone, the clock, the planner."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dbre.capabilities.backup.catalog.clock import ClockSample, list_samples
from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.phases import list_phases
from dbre.capabilities.backup.forecast.model import Forecast, forecast
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.model import Catalog
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.errors import RestoreImpossible
from dbre.capabilities.backup.restoring.lineage import newest_timeline
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.ports.backup.model import LogFile, LogKind, LogPosition, RecoveryTarget, TargetKind
from dbre.ports.backup.moving import can_move

__all__ = ["Asked", "forecast_of", "plan_asked", "plan_over", "require_space"]

_AFTER = timedelta(hours=6)  # of an idle server there is a sample now and then only
_SAMPLES = 100_000
_PARTIAL = ".partial"  # of the file that is being written, in every spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of a restore."""

    cluster: str
    target: RecoveryTarget
    vault: str | None = None
    set_id: str | None = None
    accept_loss: bool = False


async def plan_asked(ground: BackupGround, asked: Asked, clock: Clock) -> RestorePlan:
    """Plan over what the state store knows. Raises: UsageError without one; what ``plan_restore`` raises."""
    if ground.store is None:
        raise UsageError("no state store is open here", hint="from a vault alone: dbre vault restore VAULT CLUSTER")
    catalog = await load_catalog(ground.store, asked.cluster)
    async with ground.store.read() as connection:
        before = await list_samples(connection, asked.cluster, until=asked.target.at, limit=_SAMPLES)
        after: Sequence[ClockSample] = ()
        if asked.target.at is not None:
            after = await list_samples(connection, asked.cluster, since=asked.target.at, until=asked.target.at + _AFTER)
    samples = {one.at: one for one in (*before, *after)}  # the one at the very moment is in both
    return plan_over(ground, catalog, tuple(samples.values()), asked, clock)


def plan_over(
    ground: BackupGround, catalog: Catalog, samples: tuple[ClockSample, ...], asked: Asked, clock: Clock
) -> RestorePlan:
    """Plan over a catalog, wherever it comes from."""
    if asked.vault is not None and asked.vault not in {one.name for one in ground.vaults}:
        known = ", ".join(one.name for one in ground.vaults) or "none"
        raise UsageError(f"no vault is named {printable(asked.vault, limit=100)}", hint=f"vaults: {known}")
    _require_cluster(ground, catalog, asked.cluster)
    _require_target(ground, catalog, asked.target)
    choice = RestoreChoice(
        position=_position(ground, catalog, asked),
        set_id=asked.set_id,
        vaults=(asked.vault,) if asked.vault is not None else None,
        accept_loss=asked.accept_loss,
        received=_received(ground, catalog, asked.cluster),
    )
    return plan_restore(catalog, asked.target, now=clock.now(), clock_samples=samples, choice=choice)


def _require_cluster(ground: BackupGround, catalog: Catalog, name: str) -> None:
    """A cluster that left the inventory can be restored; one of which nothing was ever copied is a slip of the pen."""
    if not catalog.sets and name not in {one.name for one in ground.fleet.clusters}:
        raise UsageError(
            f"no set of a cluster {printable(name, limit=100)} is known here, and none of the inventory is named so",
            hint=f"clusters: {', '.join(one.name for one in ground.fleet.clusters) or 'none'}; dbre vault show VAULT",
            context={"cluster": printable(name, limit=100)},
        )


def _require_target(ground: BackupGround, catalog: Catalog, target: RecoveryTarget) -> None:
    """Which targets there are is the engine's to say, and is told before anything is restored."""
    if catalog.sets and target.kind not in (TargetKind.LATEST, TargetKind.IMMEDIATE):
        ground.engines.get(catalog.sets[-1].engine).backups(ground.place).require_target(target)


def _position(ground: BackupGround, catalog: Catalog, asked: Asked) -> LogPosition | None:
    """A position is written in the engine's own words."""
    if asked.target.kind is not TargetKind.POSITION or not catalog.sets:
        return None
    newest = catalog.sets[-1]
    timeline = asked.target.timeline or max(1, newest_timeline(catalog, newest.system_id))
    engine = ground.engines.get(newest.engine)
    return engine.backups(ground.place).parse_position(asked.target.value or "", timeline=timeline)


def _received(ground: BackupGround, catalog: Catalog, cluster: str) -> tuple[LogFile, ...]:
    """What this machine received and nobody has put away yet; how much of the last one is written is not known."""
    found: list[LogFile] = []
    for system_id, engine in sorted({(one.system_id, one.engine) for one in catalog.sets}):
        spool = spool_directory(ground.directory, cluster, system_id)
        if not spool.is_dir():
            continue
        port = ground.engines.get(engine).backups(ground.place)
        for path in sorted(spool.iterdir()):
            try:
                size = path.stat().st_size
            except FileNotFoundError:  # stored and let go while we looked
                continue
            one = port.log_file(path.name.removesuffix(_PARTIAL), size=size, sha256="", segment_bytes=size)
            if one is not None and one.kind is LogKind.SEGMENT:
                found.append(one)
    return tuple(found)


async def forecast_of(ground: BackupGround, plan: RestorePlan) -> Forecast:
    """How long the plan would take, from what is measured in the state store."""
    if ground.store is None:
        return forecast(plan, ())
    async with ground.store.read() as connection:
        phases = await list_phases(connection, engine=plan.engine, only_faithful=True)
    return forecast(plan, phases)


async def require_space(plan: RestorePlan, *, staging: Path, target: Path) -> None:
    """Raises: RestoreImpossible where there is less room than the restore may take."""
    is_moved = len(plan.chain) == 1 and await asyncio.to_thread(can_move, _existing(staging), target)
    made = 0 if is_moved else plan.bytes_copy
    rooms = await asyncio.to_thread(_rooms, {staging: plan.bytes_copy + plan.bytes_log, target: made + plan.bytes_log})
    for free, need, path in rooms:
        if free < need:
            raise RestoreImpossible(
                f"{printable(str(path), limit=200)} has {format_bytes(free)} free, and a restore may take {format_bytes(need)}",
                hint="make room, or choose another place: --directory, and backup.directory for the staging",
                context={"path": str(path), "free_bytes": free, "needed_bytes": need},
            )


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _rooms(needs: dict[Path, int]) -> list[tuple[int, int, Path]]:
    """Free bytes and needed bytes of each file system; two needs on one file system add up."""
    by_device: dict[int, tuple[int, int, Path]] = {}
    for path, need in needs.items():
        there = _existing(path)
        free, device = shutil.disk_usage(there).free, there.stat().st_dev
        before = by_device.get(device)
        by_device[device] = (free, need + (before[1] if before else 0), there)
    return list(by_device.values())
