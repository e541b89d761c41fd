"""``backup.drill``: bring a moment back where it can harm nobody, look whether it is right, and take it away again."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.catalog.drills import get_drill
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.drilling.choosing import check_target, choose_order
from dbre.capabilities.backup.drilling.documents import DrillInput
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.drilling.planning import load_known, plan_drill
from dbre.capabilities.backup.drilling.recording import evidence_of, record_drill, tell_vaults
from dbre.capabilities.backup.drilling.running import DrillRun
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.core.errors import DbreError, PrecheckFailed, UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, step
from dbre.core.operation.plan import LockMode, Plan, Risk, Step
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["DrillBackup"]

_LONGEST_SECONDS = 2 * 86_400.0


class DrillBackup(Operation[DrillInput]):
    """Prove that a moment can be recovered. It ends well whatever the verdict: a drill that finds damage has done its work."""

    kind, version = "backup.drill", 1
    document = DrillInput

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: DrillInput) -> Plan:  # noqa: ARG002 -- it depends on the catalog alone
        """Say what would be done; the moment itself is drawn when it begins, from the operation's id.

        Raises: UsageError for no policy or a target that is none; PrecheckFailed where nothing was ever backed up.
        """
        cluster = self._ground.fleet.cluster(asked.cluster)
        policy = self._ground.require_policy(cluster.name)
        word, mode = asked.target or policy.drill.target, asked.mode or policy.drill.mode
        check_target(self._ground, word)
        async with self._store.read() as connection:
            sets = await list_sets(connection, cluster=cluster.name)
        if not any(one.state is SetState.SEALED for one in sets):
            raise PrecheckFailed(
                f"cluster {cluster.name} has no sealed set: there is nothing to drill with",
                hint=f"dbre backup take {cluster.name}",
            )
        moment = {"random": "a random moment", "latest": "the latest state", "restore_point": "where its log ends now"}
        what = moment.get(word, printable(word, limit=60))
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"bring {what} of {cluster.name} back in a jail, check it, and remove it",
            steps=(
                Step("choose", summary=f"choose {what}", input=asked.model_dump(mode="json")),
                Step("prove", summary="fetch, verify, boot, replay and check", input={"mode": mode}),
                Step("record", summary="write the verdict down"),
            ),
            risk=Risk.READ,
            lock=LockMode.SHARED,
            blast_radius=(
                "reads the vaults; servers of the cluster only where the policy compares rows or takes a restore point",
            ),
        )

    @step(timeout_seconds=1_800.0, idempotent=True)
    async def choose(self, context: StepContext) -> Mapping[str, Any]:
        """Draw the moment: the operation's id is the seed, so that a repeated step draws it again."""
        asked = DrillInput.model_validate(dict(context.input))
        policy = self._ground.require_policy(asked.cluster)
        order = await choose_order(self._ground, self._store, policy, asked, context)
        return {**order.document(), "chain": await self._chain(order)}

    async def _chain(self, order: DrillOrder) -> list[str]:
        """The sets that it will read: expiry leaves them alone. None where nothing can be restored; the next step tells."""
        try:
            return [one.id for one in plan_drill(await load_known(self._store, order.cluster), order).chain]
        except DbreError:
            return []

    @step(timeout_seconds=_LONGEST_SECONDS, idempotent=True, attempts=1)
    async def prove(self, context: StepContext) -> Mapping[str, Any]:
        """Restore, look, remove. An interrupted one begins again in the same directory."""
        order = DrillOrder.from_document(context.results["choose"])
        policy = self._ground.require_policy(order.cluster)
        known = await load_known(self._store, order.cluster)
        run = DrillRun(self._ground, policy, order, known)
        if run.prepare():
            await self._run(run, order, context)
        drill = run.drill(ended_at=self._ground.clock.now())
        await context.note(f"{drill.verdict.value}: {drill.reason}")
        return evidence_of(drill)

    @step(timeout_seconds=120.0, idempotent=True)
    async def record(self, context: StepContext) -> Mapping[str, Any]:
        """Write drill, phases and proof in one transaction."""
        found = await record_drill(self._ground, self._store, context.results["prove"])
        for name in await tell_vaults(self._ground, self._store, context.results["prove"]):
            await context.note(name)
        return found

    @record.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """See whether it is written; its id is the operation's."""
        async with self._store.read() as connection:
            found = await get_drill(connection, context.token.operation_id)
        if found is None:
            raise NotHappened(f"drill {context.token.operation_id} is not recorded")
        return {"drill": str(found.id), "verdict": found.verdict.value}

    async def _run(self, run: DrillRun, order: DrillOrder, context: StepContext) -> None:
        from dbre.capabilities.backup.vault.opening import open_vaults

        assert run.plan is not None  # noqa: S101 -- for the type: it is prepared
        await tidy(self._ground)
        async with AsyncExitStack() as stack:
            try:
                vaults = await stack.enter_async_context(open_vaults(self._ground, run.plan.vaults))
                directory = await asyncio.to_thread(_scratch, self._ground.directory, order)
            except DbreError as error:
                run.failed(error)
                return
            await run.run(vaults, directory, _teller(context))

    @property
    def _store(self) -> Store:
        if self._ground.store is None:
            raise UsageError("drills are kept in a state store, and none is open here", hint="dbre db status")
        return self._ground.store


def _scratch(directory: Path, order: DrillOrder) -> Path:
    """A directory of its own below one that servers' accounts may pass through."""
    parent = directory / "drills"
    for one in (directory, parent):
        one.mkdir(mode=0o711, parents=True, exist_ok=True)
    return parent / str(order.id)


def _teller(context: StepContext) -> Any:
    async def tell(phase: str, done: int, total: int | None) -> None:
        await context.checkpoint()
        await context.progress(done, total, f"bytes: {phase}")

    return tell
