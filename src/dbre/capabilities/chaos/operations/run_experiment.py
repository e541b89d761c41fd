"""``chaos.run``: an experiment from its baseline to its proof that nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dbre.capabilities.chaos.clients import Clients, truth_after
from dbre.capabilities.chaos.documents import Experiment, When
from dbre.capabilities.chaos.experiment_plan import check_names, check_outage, plan_of
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.fitting import check_engine
from dbre.capabilities.chaos.injection.healing import Healed, heal
from dbre.capabilities.chaos.injection.model import NotReverted, Phase
from dbre.capabilities.chaos.injection.record import Record, new_fault_id, read_records
from dbre.capabilities.chaos.preflight.checks import checks_of, require
from dbre.capabilities.chaos.preflight.gathering import gather, roles_of
from dbre.capabilities.chaos.probing import Finding, until_all_hold
from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.recording import Recording
from dbre.capabilities.chaos.watching import ExperimentAborted, Watch
from dbre.core.errors import DbreError, PrecheckFailed, UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, Verification, step
from dbre.core.operation.plan import Plan
from dbre.core.secrets import prepare_secrets
from dbre.core.text import printable

__all__ = ["RunExperiment"]

_LONGEST_SECONDS = 3 * 3600.0
_BASELINE_SECONDS = 10.0  # a probe that fails once, as on a machine with much to do, says nothing of the cluster


class RunExperiment(Operation[Experiment]):
    """Faults on one cluster, held by processes of their own; its target lock keeps everything away but a failover."""

    kind, version = "chaos.run", 1
    document = Experiment

    def __init__(self, ground: ChaosGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: Experiment) -> Plan:
        """Ask every instance who it is. Raises: UsageError for unknown names; PrecheckFailed where it may not be."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        check_names(asked, cluster)
        check_engine((one.fault for one in asked.faults), cluster, self._ground.engines)
        if asked.clients is not None and self._ground.clients is None:
            raise UsageError("no clients can be started here", hint="leave out clients")
        await self._check_objectives(asked)
        answers = await roles_of(self._ground, cluster, context.application_name)
        check_outage(asked, answers)
        facts = await gather(self._ground, asked, answers=answers, is_plan=True)
        require(checks_of(asked, cluster, self._ground.rule_of(cluster), facts))
        return plan_of(asked, answers)

    @step(timeout_seconds=300.0, idempotent=True)
    async def baseline(self, context: StepContext) -> Mapping[str, Any]:
        """Heal what is left over, check again what may have changed since, and ask the hypothesis. Raises: PrecheckFailed."""
        try:
            return await self._baseline(context, _experiment(context))
        except PrecheckFailed as error:
            error.context["is_refusal"] = True  # nothing was begun
            raise

    async def _baseline(self, context: StepContext, experiment: Experiment) -> Mapping[str, Any]:
        healed = await self._heal()
        left = [one for one in healed if one.outcome in ("stuck", "held") and one.record.cluster == experiment.cluster]
        if left:
            raise PrecheckFailed(
                f"{left[0].record.fault} on {left[0].record.instance} is still there: {left[0].detail}", hint="dbre chaos heal"
            )
        checks = await self._checks(context, experiment)
        found = await until_all_hold(self._ground, experiment, When.BEFORE, limit_seconds=_BASELINE_SECONDS)
        for one in found:
            if not one.holds:
                raise PrecheckFailed(
                    f"{one.probe} does not hold before anything was done: {one.detail}",
                    hint="mend it first, or correct the hypothesis",
                )
        return {"before": [one.document() for one in found], "checks": checks}

    @step(timeout_seconds=_LONGEST_SECONDS)
    async def inject(self, context: StepContext) -> Mapping[str, Any]:
        """Begin the faults, watch, and see each one go."""
        experiment = _experiment(context)
        await prepare_secrets([self._ground.fleet.cluster(experiment.cluster).password])
        recording = Recording(self._ground, context)
        async with self._clients(context, experiment) as clients:
            await recording.begin(experiment)
            watch = Watch(self._ground, experiment, context, first_is_on=clients.mark if clients is not None else None)
            try:
                found = await watch.run()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, NotReverted):
                    await self._heal()  # what a dead injector left; the error stays
                await recording.failed(watch.document(), error)
                if isinstance(error, ExperimentAborted):
                    await self._note_aftermath(recording, experiment, clients, is_finding=error.is_finding)
                raise
            if clients is not None:
                found |= await self._settled(experiment)  # before clients take their time
                found |= await self._truth(clients, experiment)
        await recording.note(found)
        return found

    @inject.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Whoever injected is gone: its faults have been taken back by their injectors, or are now."""
        mine = await self._mine(context)
        recording = Recording(self._ground, context)
        if not mine:
            raise NotHappened("no fault of this experiment was begun")
        await self._heal_mine(context)
        faults = [
            {
                "id": one.id,
                "fault": one.fault,
                "instance": one.instance,
                "is_reverted": True,
                "detail": one.detail,
                "why": one.why,
            }
            for one in mine
        ]
        found = {"faults": faults, "during": [], "interrupted": True}
        await recording.note(found, state=RunState.INTERRUPTED)
        return found

    @step(timeout_seconds=300.0, idempotent=True)
    async def heal(self, context: StepContext) -> Mapping[str, Any]:
        """Take back what is left of this experiment's faults; its run ends, where nobody has said yet how."""
        healed = [one.record.fault for one in await self._heal_mine(context)]
        await Recording(self._ground, context).note({}, state=RunState.INTERRUPTED)
        return {"healed": healed}

    @step(timeout_seconds=3600.0, idempotent=True)
    async def settle(self, context: StepContext) -> Mapping[str, Any]:
        """See that the hypothesis holds again, and forget the faults."""
        experiment = _experiment(context)
        found = await until_all_hold(self._ground, experiment, When.AFTER, limit_seconds=experiment.settle.total_seconds())
        await self._record_end(context, found)
        for record in await self._mine(context):
            if record.phase in (Phase.REVERTED, Phase.FAILED):
                await asyncio.to_thread(record.remove, self._ground.directory)
        return {"after": [one.document() for one in found]}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Every fault was seen to be gone, and the one who injected lived to see it."""
        injected = context.results.get("inject", {})
        found = [
            Verification(subject=f"{one['instance']}: {one['fault']}", holds=one["is_reverted"], detail=one["detail"])
            for one in injected.get("faults", [])
        ]
        if injected.get("interrupted"):
            detail = "the process that ran it died: its faults were taken back early, and what was measured is lost"
            found.append(Verification(subject="the experiment", holds=False, detail=detail))
        return found

    async def _check_objectives(self, asked: Experiment) -> None:
        named = [rule.slo for rule in asked.abort or ()] + [one.slo for one in asked.hypothesis if one.slo is not None]
        for slo in named:
            if self._ground.slo is None:
                raise UsageError("no SLO can be watched here", hint="leave out abort and probes of kind burn")
            await self._ground.slo(slo, asked.cluster)

    @asynccontextmanager
    async def _clients(self, context: StepContext, experiment: Experiment) -> AsyncIterator[Clients | None]:
        if experiment.clients is None or self._ground.clients is None:
            yield None
            return
        token, directory = context.token, self._ground.directory
        await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        history = directory / f"{token.operation_id}.{token.attempt}.{new_fault_id()}.history.jsonl"
        async with self._ground.clients(experiment.cluster, experiment.clients, history) as clients:
            yield clients

    async def _note_aftermath(
        self, recording: Recording, experiment: Experiment, clients: Clients | None, *, is_finding: bool
    ) -> None:
        """How long it takes until all is well again is told of an early end too; not to people who wanted one: they wait."""
        if is_finding:
            await recording.note(await self._settled(experiment))
        if clients is not None:
            await recording.note(await self._truth(clients, experiment))

    async def _settled(self, experiment: Experiment) -> dict[str, Any]:
        limit = experiment.settle.total_seconds()
        found = await until_all_hold(self._ground, experiment, When.AFTER, limit_seconds=limit)
        return {"settled_at": self._ground.clock.now().isoformat()} if all(one.holds for one in found) else {}

    async def _truth(self, clients: Clients, experiment: Experiment) -> dict[str, Any]:
        limit = experiment.settle.total_seconds()
        try:
            return {"clients": await truth_after(clients, self._ground.clock, limit_seconds=limit)}
        except DbreError as error:  # the faults came and went all the same
            return {"clients": {"verdict": "unknown", "warnings": [printable(error.message, limit=300)]}}

    async def _checks(self, context: StepContext, experiment: Experiment) -> list[dict[str, Any]]:
        """Raises: PrecheckFailed."""
        cluster = self._ground.fleet.cluster(experiment.cluster)
        answers = await roles_of(self._ground, cluster, context.application_name)
        facts = await gather(self._ground, experiment, answers=answers, own=[context.token.operation_id])
        checks = checks_of(experiment, cluster, self._ground.rule_of(cluster), facts)
        require(checks)
        return [one.document() for one in checks]

    async def _record_end(self, context: StepContext, after: Sequence[Finding]) -> None:
        during = context.results.get("inject", {}).get("during", [])
        is_held = all(one.holds for one in after) and all(one.get("holds", not one["bad"]) for one in during)
        observed: dict[str, Any] = {"after": [one.document() for one in after]}
        if all(one.holds for one in after) and "settled_at" not in context.results.get("inject", {}):
            observed["settled_at"] = self._ground.clock.now().isoformat()
        await Recording(self._ground, context).note(observed, state=RunState.HELD if is_held else RunState.DEVIATED)

    async def _mine(self, context: StepContext) -> list[Record]:
        found = await asyncio.to_thread(read_records, self._ground.directory)
        return [one for one in found if one.operation == str(context.token.operation_id)]

    async def _heal(self) -> Sequence[Healed]:
        ground = self._ground
        return await heal(ground.directory, ground.fleet, ground.engines, ground.clock)

    async def _heal_mine(self, context: StepContext) -> list[Healed]:
        """Raises: NotReverted where one is left after the injectors had their time."""
        operation = str(context.token.operation_id)
        for _ in range(20):
            mine = [one for one in await self._heal() if one.record.operation == operation]
            if not any(one.outcome == "held" for one in mine):
                break
            await asyncio.sleep(1.0)  # an injector whose runner is gone takes it back within its lease
        left = [one for one in mine if one.outcome in ("held", "stuck")]
        if left:
            await Recording(self._ground, context).note({}, state=RunState.UNREVERTED)  # which makes its score nothing
            raise NotReverted(f"{left[0].record.fault} on {left[0].record.instance}: {left[0].detail}", hint="dbre chaos heal")
        return mine


def _experiment(context: StepContext) -> Experiment:
    return Experiment.model_validate(context.input["experiment"])
