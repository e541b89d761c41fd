"""From verified members to a server at its target."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.fetching import StoredLogFetch
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.restoring.members import fetched_note, member_paths
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import PlannedLog
from dbre.capabilities.backup.restoring.sources import SourceVault
from dbre.capabilities.backup.restoring.staging import Staging, remove_tree
from dbre.capabilities.backup.restoring.telling import Tell, progress_of
from dbre.ports.backup.engine import BackupPort, LogFetch, RecoveredServer, RecoverOrder
from dbre.ports.backup.errors import TargetNotReached
from dbre.ports.backup.model import Phase, TargetKind
from dbre.ports.backup.moving import can_move
from dbre.ports.engine import Engine

__all__ = ["assemble_members", "booted", "log_of", "port_of_plan", "recover_order"]

_LOGICAL = "dump"


def port_of_plan(ground: BackupGround, plan: RestorePlan) -> BackupPort:
    """How the engine of a plan is restored; the source itself is never asked. Raises: Unsupported."""
    engine: Engine = ground.engines.get(plan.engine)
    provider = plan.newest.provider
    return engine.dumps(ground.place) if provider == _LOGICAL else engine.backups(ground.place)


def log_of(ground: BackupGround, plan: RestorePlan, vaults: Sequence[SourceVault]) -> LogFetch:
    """Where log files of a plan come from: the vaults, then what this machine received."""
    spool = spool_directory(ground.directory, plan.cluster, plan.system_id)
    return StoredLogFetch(ground, vaults, spool if spool.is_dir() else None, plan.system_id)


async def assemble_members(
    plan: RestorePlan, staging: Staging, port: BackupPort, target: Path, tell: Tell | None = None
) -> list[Phase]:
    """Make the data directory anew, whatever an interrupted restore left of it; what was fetched may be used up by it."""
    await asyncio.to_thread(remove_tree, target)
    members = member_paths(plan, staging)
    may_move = len(members) == 1 and await asyncio.to_thread(can_move, members[0], target)
    if may_move:  # from now on nobody may take it for what was fetched: a server is going to write there
        await staging.forget_note(fetched_note(plan.chain[0]))
    progress = progress_of(tell, "combine", total=plan.bytes_copy)
    return list(await port.assemble(members, target, progress, may_move=may_move))


def recover_order(
    plan: RestorePlan,
    data: Path,
    log: LogFetch | None,
    *,
    mode: str,
    stays_at_target: bool,
    jail: bool,
    timeout_seconds: float = 86_400.0,
) -> RecoverOrder:
    """What the engine is asked to do."""
    return RecoverOrder(
        directory=data,
        target=plan.target,
        log=log,
        version=plan.version_text,
        stays_at_target=stays_at_target,
        is_faithful=mode == "faithful",
        jail=jail,
        timeout_seconds=timeout_seconds,
    )


@asynccontextmanager
async def booted(plan: RestorePlan, staging: Staging, port: BackupPort, order: RecoverOrder) -> AsyncIterator[RecoveredServer]:
    """A server at the target of a plan; at the end of its log where the plan says that this is as good.

    A server that is asked for a moment in a quiet time finds no commit after it, and PostgreSQL then refuses to end recovery
    ("recovery ended before configured recovery target was reached"). Where the log is known to reach that moment, the end of
    the planned log is that moment; files beyond the plan are kept away, as they may hold later commits. The same holds for a
    position where the last file of the log ends.
    """
    is_up = False
    try:
        async with port.recover(order) as server:
            is_up = True
            yield server
            return
    except TargetNotReached:
        if is_up or not plan.may_end_with_log:
            raise
    only_planned = replace(
        order,
        target=replace(order.target, kind=TargetKind.LATEST, at=None, value=None),
        log=PlannedLog(staging.log, None) if order.log is not None else None,
    )
    async with port.recover(only_planned) as server:
        yield server
