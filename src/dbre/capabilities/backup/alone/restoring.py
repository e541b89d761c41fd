"""A restore from a vault alone: no state store, no control plane, no cluster that still lives."""

import asyncio
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.own_state.model import CLUSTER as STATE_CLUSTER
from dbre.capabilities.backup.restoring.booting import assemble_members, booted, log_of, port_of_plan, recover_order
from dbre.capabilities.backup.restoring.claims import claimed
from dbre.capabilities.backup.restoring.finishing import finish
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.capabilities.backup.restoring.members import fetch_members, verify_members
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import fetch_log, scan_planned_log
from dbre.capabilities.backup.restoring.recovering import planned_source, require_possible
from dbre.capabilities.backup.restoring.request import Asked, plan_over, require_space
from dbre.capabilities.backup.restoring.sources import SourceVault
from dbre.capabilities.backup.restoring.staging import Staging, remove_tree, require_new, staging_root
from dbre.capabilities.backup.restoring.telling import Tell
from dbre.core.errors import UsageError
from dbre.core.text import printable, quoted
from dbre.ports.backup.model import Phase, RecoveryOutcome

__all__ = ["RestoredAlone", "plan_alone", "rename_into_place", "restore_alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredAlone:
    """What came of it."""

    directory: Path
    outcome: RecoveryOutcome
    phases: tuple[Phase, ...]


async def plan_alone(ground: BackupGround, asked: Asked) -> RestorePlan:
    """Plan over what the vault says of itself. The times of commits are not known from it, only those of sets.

    Raises: as ``plan_restore``; UsageError where no vault is named, or neither it nor the inventory knows the cluster.
    """
    from dbre.capabilities.backup.vault.opening import open_vault

    async with open_vault(ground, asked.vault or "") as vault:
        catalog = await vault.catalog(asked.cluster)
        if not catalog.sets:
            _require_name(ground, asked, {one.cluster for one in (await vault.catalog()).sets} - {STATE_CLUSTER})
    return plan_over(ground, catalog, (), asked, ground.clock)


def _require_name(ground: BackupGround, asked: Asked, there: set[str]) -> None:
    """Where the inventory is lost with all else, the vault itself says which names there are."""
    if asked.cluster not in {one.name for one in ground.fleet.clusters}:
        raise UsageError(
            f"vault {asked.vault} has no set of a cluster {quoted(asked.cluster, limit=100)}",
            hint=f"it has sets of: {', '.join(printable(one, limit=100) for one in sorted(there)) or 'none'}",
        )


async def restore_alone(ground: BackupGround, plan: RestorePlan, directory: Path, tell: Tell | None = None) -> RestoredAlone:
    """Bring the moment of a plan into a new directory, ready to be started; an interrupted one leaves nothing.

    Raises: PrecheckFailed, RestoreImpossible, CopyDamaged, LogGap, RecoveryFailed.
    """
    from dbre.capabilities.backup.vault.opening import open_vaults

    require_possible(plan)
    await tidy(ground)
    await asyncio.to_thread(require_new, directory)
    root = await asyncio.to_thread(staging_root, ground.directory)
    await require_space(plan, staging=root, target=directory.parent)
    number = secrets.token_hex(8)
    staging = Staging(root=root / f"alone-{number}", account=ground.place.account)
    unfinished = directory.with_name(f".{directory.name}.dbre-{number}")
    chain, places = [one.id for one in plan.chain], [staging.root, unfinished]
    async with claimed(ground.directory, purpose=f"restore of {plan.cluster}", sets=chain, directories=places):
        try:
            async with open_vaults(ground, plan.vaults) as vaults:
                return await _restored(ground, plan, staging, unfinished, directory, vaults, tell)
        finally:
            await asyncio.to_thread(remove_tree, unfinished)
            await staging.remove()


async def _restored(
    ground: BackupGround,
    plan: RestorePlan,
    staging: Staging,
    unfinished: Path,
    directory: Path,
    vaults: tuple[SourceVault, ...],
    tell: Tell | None,
) -> RestoredAlone:
    port, source = port_of_plan(ground, plan), log_of(ground, plan, vaults)
    await staging.prepare()
    phases = await fetch_members(plan, staging, vaults, tell)
    phases += await verify_members(plan, staging, port, tell)
    phases += await fetch_log(plan, staging, source, tell)
    phases += await scan_planned_log(plan, staging, port, tell)
    phases += await assemble_members(plan, staging, port, unfinished, tell)
    log = planned_source(plan, staging, source)
    order = recover_order(plan, unfinished, log, mode="faithful", stays_at_target=True, jail=True)
    async with booted(plan, staging, port, order) as server:
        outcome = server.outcome
        phases += outcome.phases
        phases += (await finish(ground, plan, server, check=False)).phases
    await asyncio.to_thread(require_new, directory)
    await asyncio.to_thread(rename_into_place, unfinished, directory)
    return RestoredAlone(directory=directory, outcome=outcome, phases=tuple(phases))


def rename_into_place(source: Path, target: Path) -> None:
    """Give a finished directory its name; an empty one that is there makes way, anything else fails.

    What it holds is on the disk before, and its name after: most of its files were copied, and no server synced those.
    """
    os.sync()
    if target.is_dir():
        target.rmdir()
    source.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
