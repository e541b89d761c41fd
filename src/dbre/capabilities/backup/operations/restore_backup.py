"""``backup.restore``: bring a moment of a cluster back into a new directory, verified, and ready to be started."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.alone.restoring import rename_into_place
from dbre.capabilities.backup.catalog.phases import RestorePhase, record_phases
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.answering import require_sources
from dbre.capabilities.backup.restoring.booting import assemble_members, booted, log_of, port_of_plan, recover_order
from dbre.capabilities.backup.restoring.documents import RestoreInput, TargetInput
from dbre.capabilities.backup.restoring.finishing import finish, outcome_document, phase_documents, phases_from
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.capabilities.backup.restoring.members import fetch_members, fetched_note, has_members, verify_members
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import fetch_log, scan_planned_log
from dbre.capabilities.backup.restoring.recovering import planned_source, require_possible
from dbre.capabilities.backup.restoring.request import Asked, forecast_of, plan_asked, require_space
from dbre.capabilities.backup.restoring.restore_plan import operation_plan
from dbre.capabilities.backup.restoring.sources import SourceVault
from dbre.capabilities.backup.restoring.staging import Staging, give_tree, remove_tree, require_new, staging_root
from dbre.capabilities.backup.restoring.target import parse_target
from dbre.core.errors import Conflict
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.plan import Plan
from dbre.core.text import printable
from dbre.ports.backup.model import Phase

__all__ = ["RestoreBackup"]

_LONG = 7 * 86_400.0


class RestoreBackup(Operation[RestoreInput]):
    """Bring a moment back. The cluster itself is never asked and never touched; nothing that exists is written over."""

    kind, version = "backup.restore", 1
    document = RestoreInput

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: RestoreInput) -> Plan:
        """Choose sets and log, and see that there is room.

        Raises: InvalidTarget, NoSetForTarget, RestoreImpossible, PrecheckFailed; Unsupported; Unreachable where no vault
        that holds what is needed answers.
        """
        target = parse_target(asked.target.text(), now=context.clock.now())
        directory = Path(asked.directory)
        await asyncio.to_thread(require_new, directory)
        wanted = Asked(cluster=asked.cluster, target=target, vault=asked.vault, set_id=asked.set, accept_loss=asked.accept_loss)
        plan = await plan_asked(self._ground, wanted, context.clock)
        require_possible(plan)
        await require_space(plan, staging=self._ground.directory, target=directory.parent)
        away = await require_sources(self._ground, plan)
        tools = await port_of_plan(self._ground, plan).tools(version=plan.version_text)
        return operation_plan(plan, asked, tools=tools, forecast=await forecast_of(self._ground, plan), away=away)

    @step(timeout_seconds=600.0, idempotent=True)
    async def prepare(self, context: StepContext) -> Mapping[str, Any]:
        """Make the directory for the parts, where there is room on the machine that does it."""
        await tidy(self._ground)
        plan, staging = await self._plan(context), self._staging(context)
        await require_space(plan, staging=staging.root, target=_unfinished(context).parent)
        await staging.prepare()
        return {"staging": str(staging.root)}

    @step(timeout_seconds=_LONG, idempotent=True)
    async def fetch(self, context: StepContext) -> Mapping[str, Any]:
        """Fetch the members that are not there yet."""
        plan, staging = await self._plan(context), self._staging(context)
        async with self._vaults(plan) as vaults:
            phases = await fetch_members(plan, staging, vaults, _tell(context))
        await asyncio.to_thread(os.sync)  # after a loss of power nobody verifies again what was verified
        return {"phases": phase_documents(phases), "sets": [one.id for one in plan.chain]}

    @step(timeout_seconds=_LONG, idempotent=True)
    async def verify_sets(self, context: StepContext) -> Mapping[str, Any]:
        """Compare every member with its manifest before anything is made of it."""
        plan, staging = await self._plan(context), self._staging(context)
        phases = await verify_members(plan, staging, port_of_plan(self._ground, plan), _tell(context))
        return {"phases": phase_documents(phases)}

    @step(timeout_seconds=_LONG, idempotent=True)
    async def read_log(self, context: StepContext) -> Mapping[str, Any]:
        """Fetch the log and check every record of it that will be replayed; what comes later is not part of this restore."""
        plan, staging = await self._plan(context), self._staging(context)
        async with self._vaults(plan) as vaults:
            phases = await fetch_log(plan, staging, log_of(self._ground, plan, vaults), _tell(context))
        phases += await scan_planned_log(plan, staging, port_of_plan(self._ground, plan), _tell(context))
        await asyncio.to_thread(os.sync)
        await staging.write_note("log", {"names": [one.file.name for one in plan.logs]})
        return {"phases": phase_documents(phases), "files": len(plan.logs), "bytes": plan.bytes_log}

    @step(timeout_seconds=_LONG, idempotent=True)
    async def combine(self, context: StepContext) -> Mapping[str, Any]:
        """Make one data directory of the members, beside the place where it will be."""
        plan, staging = await self._plan(context), self._staging(context)
        await staging.forget_note("booted")
        return {"phases": phase_documents(await self._combined(context, plan, staging))}

    @step(timeout_seconds=_LONG, idempotent=True)
    async def recover(self, context: StepContext) -> Mapping[str, Any]:
        """Boot it, replay up to the target, promote, run checks and hooks, and stop it."""
        plan, staging = await self._plan(context), self._staging(context)
        again: list[Phase] = []
        if await staging.read_note("booted") is not None:  # a worker died while it ran: nobody knows what is in it now
            again = await self._combined(context, plan, staging)
        await staging.write_note("booted", {"attempt": context.token.attempt})
        unfinished, port = _unfinished(context), port_of_plan(self._ground, plan)
        async with self._vaults(plan) as vaults:
            source = planned_source(plan, staging, log_of(self._ground, plan, vaults))
            order = recover_order(plan, unfinished, source, mode="faithful", stays_at_target=True, jail=True)
            async with booted(plan, staging, port, order) as server:
                await context.note(f"recovery ended: {printable(server.outcome.reason, limit=300)}")
                finished = await finish(self._ground, plan, server, check=bool(context.input["check"]))
                phases = [*again, *server.outcome.phases, *finished.phases]
                told = {
                    "phases": phase_documents(phases),
                    "outcome": outcome_document(server.outcome),
                    "checks": [_result(one) for one in finished.results],
                    "hooks": [dict(one) for one in finished.hooks],
                    "may_end_with_log": plan.may_end_with_log,
                    "inode": (await asyncio.to_thread(unfinished.stat)).st_ino,
                }
        await staging.write_note("recovered", told)
        await self._record(context, plan, phases)
        return told

    @recover.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """The note is written when the server was stopped cleanly."""
        note = await self._staging(context).read_note("recovered")
        if note is None:
            raise NotHappened("the server was not stopped cleanly at its target")
        return note

    @step(timeout_seconds=3_600.0)
    async def hand_over(self, context: StepContext) -> Mapping[str, Any]:
        """Give the directory its name, and remove what it was made of."""
        unfinished, directory = _unfinished(context), Path(context.input["directory"])
        await asyncio.to_thread(require_new, directory)
        await asyncio.to_thread(rename_into_place, unfinished, directory)
        await self._staging(context).remove()
        return {"directory": str(directory)}

    @hand_over.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """The directory that was recovered is known by its inode."""
        unfinished, directory = _unfinished(context), Path(context.input["directory"])
        if await asyncio.to_thread(_inode, directory) == context.results["recover"]["inode"]:
            await self._staging(context).remove()
            return {"directory": str(directory)}
        if await asyncio.to_thread(unfinished.is_dir):
            raise NotHappened(f"{unfinished} still has its own name")
        raise OutcomeUnknown(f"neither {unfinished} nor {directory} is what was recovered")

    @step(timeout_seconds=3_600.0, idempotent=True)
    async def take_back(self, context: StepContext) -> Mapping[str, Any]:
        """Remove the directory that was handed over, if it is still the one."""
        directory = Path(context.input["directory"])
        inode = context.results.get("recover", {}).get("inode")
        found = await asyncio.to_thread(_inode, directory)
        if found is not None and found != inode:
            raise Conflict(
                f"{printable(str(directory), limit=300)} is not the directory that was restored",
                hint="look what it is, by hand",
            )
        await asyncio.to_thread(remove_tree, directory)
        return {"removed": str(directory)}

    @step(timeout_seconds=3_600.0, idempotent=True)
    async def discard(self, context: StepContext) -> Mapping[str, Any]:
        """Remove everything that was fetched and made: it is a copy of people's data."""
        await asyncio.to_thread(remove_tree, _unfinished(context))
        await self._staging(context).remove()
        return {}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """See that the directory is there, and that recovery ended at the target and not before it."""
        directory = Path(context.input["directory"])
        recovered = context.results["recover"]
        is_there = await asyncio.to_thread(_inode, directory) == recovered["inode"]
        outcome = recovered["outcome"]
        is_reached = bool(outcome["has_reached_target"]) or bool(recovered["may_end_with_log"])
        failed = [one["name"] for one in recovered["checks"] if one["outcome"] == "fail"]
        found = [
            Verification(subject=str(directory), holds=is_there, detail="is there" if is_there else "is gone, or another one"),
            Verification(subject="target", holds=is_reached, detail=f"{outcome['reason']} ({outcome['position']})"),
        ]
        if context.input["check"]:
            detail = f"failed: {', '.join(failed)}" if failed else f"{len(recovered['checks'])} looked, none failed"
            found.append(Verification(subject="checks", holds=not failed, detail=detail))
        return found

    async def _combined(self, context: StepContext, plan: RestorePlan, staging: Staging) -> list[Phase]:
        unfinished, port, phases = _unfinished(context), port_of_plan(self._ground, plan), list[Phase]()
        if not await has_members(plan, staging):  # what was fetched became the directory of an attempt that was killed
            await asyncio.to_thread(remove_tree, unfinished)  # there was to be room for one of them only
            async with self._vaults(plan) as vaults:
                phases += await fetch_members(plan, staging, vaults, _tell(context))
            for one in plan.chain:  # who comes after us verifies what it uses: the step that does is over
                await staging.forget_note(fetched_note(one))
            phases += await verify_members(plan, staging, port, _tell(context))
        phases += await assemble_members(plan, staging, port, unfinished, _tell(context))
        await asyncio.to_thread(give_tree, unfinished, self._ground.place.account)
        await asyncio.to_thread(os.sync)  # after a loss of power a server is started on what this step left
        return phases

    async def _plan(self, context: StepContext) -> RestorePlan:
        """The plan again, from the chain and timeline that were approved; once log was read, with that log and no more."""
        given = context.input
        asked = Asked(
            cluster=given["cluster"],
            target=TargetInput.model_validate(given["target"]).target(),
            vault=given["vault"],
            set_id=given["set"],
            accept_loss=given["accept_loss"],
        )
        plan = await plan_asked(self._ground, asked, context.clock)
        if [one.id for one in plan.chain] != list(given["chain"]):
            raise Conflict(
                f"set {given['set']} stands on other sets than when this restore was planned",
                hint="plan again: dbre backup restore",
            )
        require_possible(plan)
        note = await self._staging(context).read_note("log")
        if note is None:
            return plan
        names = set(note["names"])
        return replace(plan, logs=tuple(one for one in plan.logs if one.file.name in names))

    def _staging(self, context: StepContext) -> Staging:
        root = staging_root(self._ground.directory) / str(context.token.operation_id)
        return Staging(root=root, account=self._ground.place.account)

    @asynccontextmanager
    async def _vaults(self, plan: RestorePlan) -> AsyncIterator[Sequence[SourceVault]]:
        from dbre.capabilities.backup.vault.opening import open_vaults

        async with AsyncExitStack() as stack:
            yield await stack.enter_async_context(open_vaults(self._ground, plan.vaults))

    async def _record(self, context: StepContext, plan: RestorePlan, phases: Sequence[Phase]) -> None:
        """What forecasts are made of."""
        if self._ground.store is None:
            return
        earlier = [
            phase
            for name in ("fetch", "verify-sets", "read-log", "combine")
            for phase in phases_from(context.results.get(name, {}).get("phases", ()))
        ]
        now = context.clock.now()
        rows = [
            RestorePhase(
                operation_id=context.token.operation_id,
                number=number,
                cluster=plan.cluster,
                engine=plan.engine,
                vault=plan.vaults[0] if phase.name == "fetch" else None,
                phase=phase,
                is_faithful=True,
                at=now,
            )
            for number, phase in enumerate((*earlier, *phases))
        ]
        async with self._ground.store.begin() as connection:
            await record_phases(connection, rows)


def _unfinished(context: StepContext) -> Path:
    """Beside the directory itself, so that handing over is one rename."""
    directory = Path(context.input["directory"])
    return directory.with_name(f".{directory.name}.dbre-{context.token.operation_id}")


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def _result(one: Any) -> dict[str, Any]:
    return {"level": one.level, "name": one.name, "outcome": one.outcome.value, "detail": one.detail, "seconds": one.seconds}


def _tell(context: StepContext) -> Any:
    async def tell(phase: str, done: int, total: int | None) -> None:  # noqa: ARG001 -- the step says which phase it is
        await context.checkpoint()
        await context.progress(done, total, "bytes")

    return tell
