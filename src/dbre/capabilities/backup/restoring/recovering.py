"""A moment brought back: members fetched and verified, log scanned, one directory made, a server booted, the log replayed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.booting import assemble_members, booted, log_of, port_of_plan, recover_order
from dbre.capabilities.backup.restoring.claims import claimed
from dbre.capabilities.backup.restoring.errors import RestoreImpossible
from dbre.capabilities.backup.restoring.members import fetch_members, verify_members
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import PlannedLog, fetch_log, scan_planned_log
from dbre.capabilities.backup.restoring.sources import SourceVault
from dbre.capabilities.backup.restoring.staging import Staging
from dbre.capabilities.backup.restoring.telling import Tell
from dbre.ports.backup.engine import LogFetch, RecoveredServer
from dbre.ports.backup.model import Phase, TargetKind

__all__ = ["Recovered", "Tell", "planned_source", "recovering", "require_possible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A server at its target, with what it took to get there."""

    plan: RestorePlan
    server: RecoveredServer
    phases: tuple[Phase, ...]  # fetch, verify, fetch_log, scan, combine, then those of the server
    data: Path  # the server's data directory


def require_possible(plan: RestorePlan) -> None:
    """Raises: RestoreImpossible where the plan has blocking problems; the hint is that of the first."""
    if plan.is_possible:
        return
    raise RestoreImpossible(
        "; ".join(one.message for one in plan.blocking),
        hint=plan.blocking[0].hint,
        context={"problems": [{"rule": one.rule, "message": one.message} for one in plan.blocking]},
    )


@asynccontextmanager
async def recovering(
    ground: BackupGround,
    plan: RestorePlan,
    *,
    vaults: Sequence[SourceVault],
    directory: Path,
    mode: str = "faithful",
    stays_at_target: bool = True,
    jail: bool = True,
    tell: Tell | None = None,
    log: LogFetch | None = None,
) -> AsyncIterator[Recovered]:
    """Bring the moment of a plan back below a directory of its own, which is removed at the end, as is the server.

    ``vaults`` are open; each member comes from the first that holds it. ``log`` is where log files come from (default: the
    vaults, then the spool). Members are verified (L1) and log is scanned (L2) before anything is made of them.

    Raises: RestoreImpossible for a plan with blocking problems; CopyDamaged naming each fault, LogGap, RecoveryFailed,
    TargetNotReached.
    """
    require_possible(plan)
    port = port_of_plan(ground, plan)
    staging = Staging(root=directory, account=ground.place.account)
    source = log if log is not None else log_of(ground, plan, vaults)
    chain = [one.id for one in plan.chain]
    async with claimed(ground.directory, purpose=f"restore of {plan.cluster}", sets=chain, directories=[directory]):
        await staging.prepare()
        try:
            phases = await fetch_members(plan, staging, vaults, tell)
            phases += await verify_members(plan, staging, port, tell)
            phases += await fetch_log(plan, staging, source, tell)
            phases += await scan_planned_log(plan, staging, port, tell)
            phases += await assemble_members(plan, staging, port, staging.data, tell)
            order = recover_order(
                plan, staging.data, planned_source(plan, staging, source), mode=mode, stays_at_target=stays_at_target, jail=jail
            )
            async with booted(plan, staging, port, order) as server:
                told = (*phases, *server.outcome.phases)
                yield Recovered(plan=plan, server=server, phases=told, data=staging.data)
        finally:
            await staging.remove()


def planned_source(plan: RestorePlan, staging: Staging, source: LogFetch) -> LogFetch | None:
    """Log for the server: the planned files, and beyond them the source, unless the plan ends where its files end."""
    if plan.start is None:
        return None
    is_cut = plan.loss is not None and plan.target.kind is TargetKind.LATEST
    return PlannedLog(staging.log, None if is_cut else source)
