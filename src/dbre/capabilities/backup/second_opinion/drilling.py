"""A restore from a repository of another tool, to prove what it is worth: restored, booted in a jail, brought to its target."""

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import DrillVerdict
from dbre.capabilities.backup.restoring.booting import booted, port_of_plan, recover_order
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import PlannedLog, scan_planned_log
from dbre.capabilities.backup.restoring.recovering import require_possible
from dbre.capabilities.backup.restoring.staging import Staging, give_tree
from dbre.capabilities.backup.second_opinion.inspecting import Inspected
from dbre.capabilities.backup.second_opinion.reading import OneServer
from dbre.core.errors import DbreError, Unsupported
from dbre.core.programs.account import Account
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import Phase, RecoveryOutcome

__all__ = ["ForeignDrill", "drill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDrill:
    """What a restore from the repository proved."""

    set_id: str
    verdict: DrillVerdict
    reason: str  # one sentence
    phases: tuple[Phase, ...]
    outcome: RecoveryOutcome | None  # None: no server came up

    @property
    def seconds(self) -> float:
        """What the whole took."""
        return sum(one.seconds for one in self.phases)


async def drill(
    ground: BackupGround, inspected: Inspected, plan: RestorePlan, *, account: Account, directory: Path
) -> ForeignDrill:
    """Restore what ``plan`` says below ``directory``, which is removed at the end with the server; nothing else is touched.

    ``account`` is whom the tool runs as. What is wrong with the repository is a verdict, not an error.

    Raises: RestoreImpossible for a plan that has blocking problems.
    """
    require_possible(plan)
    staging = Staging(root=directory, account=ground.place.account)
    phases: list[Phase] = []
    await staging.prepare()
    try:
        return await _drill(ground, inspected, plan, staging, account, phases)
    except Unsupported as error:
        return _ended(plan, DrillVerdict.INCONCLUSIVE, error, phases)
    except DbreError as error:
        return _ended(plan, DrillVerdict.FAIL, error, phases)
    finally:
        await staging.remove()


def _ended(plan: RestorePlan, verdict: DrillVerdict, error: DbreError, phases: list[Phase]) -> ForeignDrill:
    return ForeignDrill(set_id=plan.newest.id, verdict=verdict, reason=error.message, phases=tuple(phases), outcome=None)


async def _drill(
    ground: BackupGround, inspected: Inspected, plan: RestorePlan, staging: Staging, account: Account, phases: list[Phase]
) -> ForeignDrill:
    if plan.engine not in ground.engines.names():
        raise Unsupported(f"dbre has no driver of {plan.engine}: it cannot boot what was restored")
    port = port_of_plan(ground, plan)
    source = OneServer(inspected.repository, plan.system_id)
    phases.append(await _restore(inspected, plan, staging, account))
    phases.append(await _fetch(plan, staging, source))
    phases += await scan_planned_log(plan, staging, port)
    log = PlannedLog(staging.log, source)
    order = recover_order(plan, staging.data, log, mode="faithful", stays_at_target=True, jail=True)
    order = replace(order, extra_settings=inspected.repository.recovery_settings)
    async with booted(plan, staging, port, order) as server:
        outcome = server.outcome
        phases += outcome.phases
        verdict, reason = _judge(plan, outcome)
        return ForeignDrill(set_id=plan.newest.id, verdict=verdict, reason=reason, phases=tuple(phases), outcome=outcome)


def _judge(plan: RestorePlan, outcome: RecoveryOutcome) -> tuple[DrillVerdict, str]:
    """Replay must have read the log that the plan counts on: a server that boots is no proof of that."""
    if outcome.position is None:
        return DrillVerdict.INCONCLUSIVE, "the server does not say how far it replayed"
    expected = plan.logs[-1].file.start if plan.logs and plan.end is not None else None
    if expected is not None and outcome.position.value < expected:
        at = outcome.position.text
        return DrillVerdict.FAIL, f"replay ended at {at}, before the last log file that is there: {outcome.reason}"
    return DrillVerdict.PASS, outcome.reason


async def _restore(inspected: Inspected, plan: RestorePlan, staging: Staging, account: Account) -> Phase:
    """The tool writes as its own account; then the files are given to that of the server."""
    began = time.monotonic()
    await asyncio.to_thread(_make_private, staging.data, account)
    await inspected.repository.restore(plan.newest.id, staging.data, target=plan.target)
    await asyncio.to_thread(give_tree, staging.data, staging.account)
    return Phase(name="fetch", seconds=time.monotonic() - began, bytes=plan.bytes_stored)


def _make_private(directory: Path, account: Account) -> None:
    directory.mkdir(mode=0o700)
    give_tree(directory, account)


async def _fetch(plan: RestorePlan, staging: Staging, source: OneServer) -> Phase:
    """Every log file of the plan, so that its records are checked before a server trusts them."""
    began, size = time.monotonic(), 0
    for one in plan.logs:
        path = staging.log / one.file.name
        if not await source.fetch(one.file.name, path):
            raise LogGap(f"log file {one.file.name} was listed, and is not there", hint="is something deleting from it?")
        size += (await asyncio.to_thread(path.stat)).st_size
    await asyncio.to_thread(give_tree, staging.log, staging.account)
    return Phase(name="fetch_log", seconds=time.monotonic() - began, bytes=size)
