"""A restore from a repository of another tool, to prove what it is worth: restored, booted in a jail, brought to its target."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.drilling.failures import level_of_phase
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import DrillVerdict
from dbre.capabilities.backup.restoring.booting import booted, port_of_plan, recover_order
from dbre.capabilities.backup.restoring.claims import claimed
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import PlannedLog, scan_planned_log
from dbre.capabilities.backup.restoring.recovering import require_possible
from dbre.capabilities.backup.restoring.staging import Staging, give_tree
from dbre.capabilities.backup.second_opinion.checking import check_restored
from dbre.capabilities.backup.second_opinion.inspecting import Inspected
from dbre.capabilities.backup.second_opinion.reading import OneServer
from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.ids import uuid7
from dbre.core.programs.account import Account
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import Phase, RecoveryOutcome
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["ForeignDrill", "drill"]

_STAND_IN_THE_WAY = (Unsupported, Denied, Unreachable)
_NAMES = {"L1": "copies", "L2": "log", "L3": "recovery"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDrill:
    """What a restore from the repository proved."""

    id: UUID
    plan: RestorePlan
    repository: str
    started_at: datetime
    ended_at: datetime
    verdict: DrillVerdict
    reason: str  # one sentence
    phases: tuple[Phase, ...]
    results: tuple[RestoredResult, ...]
    outcome: RecoveryOutcome | None  # None: no server came up

    @property
    def set_id(self) -> str:
        """What was restored."""
        return self.plan.newest.id

    @property
    def seconds(self) -> float:
        """What the whole took."""
        return sum(one.seconds for one in self.phases)


@dataclass(slots=True)
class _Notes:
    """What is known so far, whatever comes next."""

    phases: list[Phase] = field(default_factory=list)
    results: list[RestoredResult] = field(default_factory=list)
    phase: str = "fetch"
    outcome: RecoveryOutcome | None = None


async def drill(
    ground: BackupGround, inspected: Inspected, plan: RestorePlan, *, account: Account, directory: Path
) -> ForeignDrill:
    """Restore what ``plan`` says below ``directory``, which is removed at the end with the server; nothing else is touched.

    ``account`` is whom the tool runs as. What is wrong with the repository is a verdict, not an error. The directory is
    claimed: where this process is killed, whoever restores next ends the server and removes it.

    Raises: RestoreImpossible for a plan that has blocking problems.
    """
    require_possible(plan)
    began, notes = ground.clock.now(), _Notes()
    await tidy(ground)
    staging = Staging(root=directory, account=ground.place.account)
    purpose = f"drill of {inspected.name}"
    async with claimed(ground.directory, purpose=purpose, sets=[], directories=[directory]):
        try:
            await staging.prepare()
            await _drill(ground, inspected, plan, staging, account, notes)
        except DbreError as error:
            notes.results.append(_result(error, notes.phase))
        except OSError as error:  # no space, a directory that is gone: of this machine, not of the repository
            said = f"this machine stands in the way: {printable(str(error), limit=300)}"
            notes.results.append(inconclusive("L3", "machine", said, errno=error.errno))
        finally:
            await staging.remove()
    verdict, reason = _judge(notes.results)
    return ForeignDrill(
        id=uuid7(ground.clock),
        plan=plan,
        repository=inspected.name,
        started_at=began,
        ended_at=ground.clock.now(),
        verdict=verdict,
        reason=reason,
        phases=tuple(notes.phases),
        results=tuple(notes.results),
        outcome=notes.outcome,
    )


def _result(error: DbreError, phase: str) -> RestoredResult:
    """A tool that cannot restore its own repository speaks against it; what is missing here does not."""
    level = level_of_phase(phase)
    make = inconclusive if isinstance(error, _STAND_IN_THE_WAY) else failed
    return make(level, _NAMES[level], printable(error.message, limit=1_000), code=error.code, phase=phase)


def _judge(results: list[RestoredResult]) -> tuple[DrillVerdict, str]:
    """Brought to its last change, and nothing of what was looked at is wrong. Whether it is proved is the journal's to say."""
    for outcome, verdict in ((CheckOutcome.FAIL, DrillVerdict.FAIL), (CheckOutcome.INCONCLUSIVE, DrillVerdict.INCONCLUSIVE)):
        decisive = [one for one in results if one.outcome is outcome and (verdict is DrillVerdict.FAIL or one.level < "L4")]
        if decisive:
            return verdict, decisive[0].detail
    return DrillVerdict.PASS, next(one.detail for one in results if one.name == "recovery")


async def _drill(
    ground: BackupGround, inspected: Inspected, plan: RestorePlan, staging: Staging, account: Account, notes: _Notes
) -> None:
    if plan.engine not in ground.engines.names():
        raise Unsupported(f"dbre has no driver of {plan.engine}: it cannot boot what was restored")
    whole = f"{counted(len(plan.chain), 'member')}, {format_bytes(plan.bytes_stored)}"
    chain = [one.id for one in plan.chain]
    notes.results.append(passed("L0", "catalog", f"set {plan.newest.id} of {inspected.name} ({whole})", chain=chain))
    port = port_of_plan(ground, plan)
    source = OneServer(inspected.repository, plan.system_id)
    notes.phases.append(await _restore(inspected, plan, staging, account))
    notes.phase = "fetch_log"
    notes.phases.append(await _fetch(plan, staging, source))
    notes.phases += await scan_planned_log(plan, staging, port)
    if plan.logs and plan.end is not None:
        detail = f"{counted(len(plan.logs), 'log file')} without a hole up to {plan.end.text}, every record good"
        notes.results.append(passed("L2", "log", detail))
    notes.phase = "start"
    log = PlannedLog(staging.log, source)
    order = recover_order(plan, staging.data, log, mode="faithful", stays_at_target=True, jail=True)
    order = replace(order, extra_settings=inspected.repository.recovery_settings)
    async with booted(plan, staging, port, order) as server:
        notes.outcome = server.outcome
        notes.phases += server.outcome.phases
        notes.results.append(_recovery(plan, server.outcome))
        notes.results += await check_restored(ground, inspected.cluster, plan, server)


def _recovery(plan: RestorePlan, outcome: RecoveryOutcome) -> RestoredResult:
    """Replay must have read the log that the plan counts on: a server that boots is no proof of that."""
    reason = printable(outcome.reason, limit=400) or "the server says nothing"
    if outcome.position is None:
        return inconclusive("L3", "recovery", "the server does not say how far it replayed")
    at = printable(outcome.position.text, limit=80)
    jail = {printable(name, limit=80): printable(value, limit=200) for name, value in outcome.jail.items()}
    evidence: dict[str, Any] = {
        "position": at,
        "reason": reason,
        "timeline": outcome.timeline,
        "is_jailed": outcome.is_jailed,
        "jail": jail,
    }
    expected = plan.logs[-1].file.start if plan.logs and plan.end is not None else None
    if expected is not None and outcome.position.value < expected:
        detail = f"replay ended at {at}, before the last log file that is there: {reason}"
        return failed("L3", "recovery", detail, **evidence)
    where = "in a jail without network" if outcome.is_jailed else "without a network namespace of its own"
    return passed("L3", "recovery", f"came to its last change at {at} {where}: {reason}", **evidence)


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
