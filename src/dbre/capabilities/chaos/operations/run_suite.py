"""``chaos.suite``: the questions of the required catalogue one after the other, with the cluster whole again in between."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.fitting import makes
from dbre.capabilities.chaos.preflight.gathering import roles_of
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.runs.repository import NoSuchRun, find_run
from dbre.capabilities.chaos.runs.score import run_score
from dbre.capabilities.chaos.suite.choosing import Choice, choose
from dbre.capabilities.chaos.suite.documents import AskedSuite, SuiteDocument, suite_for
from dbre.capabilities.chaos.suite.recovery import standing_of, until_whole
from dbre.capabilities.chaos.suite.required import REQUIRED, Entry
from dbre.capabilities.chaos.switching.switch import Switch, read_switch
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import LockMode, Plan, Risk, Step
from dbre.core.text import printable

__all__ = ["RunSuite", "SuiteStopped", "choices_for"]

_LONGEST_SECONDS = 4 * 3600.0
_GOES_ON = (RunState.HELD, RunState.DEVIATED, RunState.ABORTED, RunState.FAILED)


class SuiteStopped(DbreError):
    """What an experiment found is no ground for another one: the rest was not begun."""

    code = "chaos.suite_stopped"


def choices_for(ground: ChaosGround, asked: AskedSuite, roles: Mapping[str, str | None]) -> list[Choice]:
    """What would be done about each question."""
    cluster = ground.fleet.cluster(asked.cluster)
    suite = suite_for(ground.suites, dict(cluster.labels))
    wanted = [one for one in REQUIRED if not asked.only or one.name in asked.only]
    return [_choose(ground, one, cluster, suite, roles) for one in wanted]


def _choose(
    ground: ChaosGround, entry: Entry, cluster: Cluster, suite: SuiteDocument, roles: Mapping[str, str | None]
) -> Choice:
    is_kept = cluster.name in ground.kept
    return choose(entry, cluster, suite, roles, is_kept=is_kept, can_be=makes(cluster, ground.engines))


class RunSuite(Operation[AskedSuite]):
    """Each experiment is an operation of its own, under the lock of this one."""

    kind, version = "chaos.suite", 1
    document = AskedSuite

    def __init__(self, ground: ChaosGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: AskedSuite) -> Plan:
        """Choose what can be asked as the cluster is now. Raises: PrecheckFailed where nothing can."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        switch = await read_switch(self._ground.store) if self._ground.store is not None else Switch()
        if switch.is_closed:
            raise PrecheckFailed(switch.words, hint='dbre chaos open --reason "..."')
        choices = choices_for(self._ground, asked, await roles_of(self._ground, cluster, context.application_name))
        possible = [one for one in choices if one.can_run]
        skipped = [f"{one.entry.name}: {one.reason}" for one in choices if not one.can_run]
        if not possible:
            raise PrecheckFailed(
                f"no experiment of the suite can be run on {cluster.name}: {'; '.join(skipped)}",
                hint="docs/reference/resilience.md says what each needs",
            )
        suite = suite_for(self._ground.suites, dict(cluster.labels))
        given = {"cluster": cluster.name, "suite": suite.model_dump(mode="json", by_alias=True)}
        steps = [Step("stand", summary=f"see how {cluster.name} stands", input=given)]
        for one in possible:
            name, entry = one.entry.name, {**given, "entry": one.entry.name}
            steps += [
                Step(f"choose:{name}", summary=f"choose whom it is done to; now: {one.reason}", input=entry),
                Step(
                    f"experiment:{name}", summary=one.entry.question, input=entry, estimate_seconds=suite.lasts.total_seconds()
                ),
                Step(f"recover:{name}", summary="wait until the cluster is as whole as before", input=entry),
            ]
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"chaos on {cluster.name}: {', '.join(one.entry.name for one in possible)}, one after the other",
            steps=tuple(steps),
            risk=Risk.SEVERE,
            lock=LockMode.YIELDING,
            blast_radius=tuple(f"{one.entry.name}: {one.reason}" for one in possible),
            warnings=tuple(f"not asked: {one}" for one in skipped),
            tags=("chaos",),
            estimate_seconds=sum((2 * suite.lasts + suite.pause).total_seconds() for _ in possible),
        )

    @step(timeout_seconds=120.0, idempotent=True)
    async def stand(self, context: StepContext) -> Mapping[str, Any]:
        """Remember how the cluster stands: so it has to stand again."""
        cluster = self._ground.fleet.cluster(context.input["cluster"])
        return await standing_of(self._ground, cluster, context.application_name)

    @step(timeout_seconds=120.0, idempotent=True)
    async def choose(self, context: StepContext) -> Mapping[str, Any]:
        """Choose the instance by its role now: an experiment before may have made another one primary."""
        cluster = self._ground.fleet.cluster(context.input["cluster"])
        entry = next(one for one in REQUIRED if one.name == context.input["entry"])
        roles = await roles_of(self._ground, cluster, context.application_name)
        found = _choose(self._ground, entry, cluster, _suite(context), roles)
        return {"experiment": found.experiment, "reason": found.reason}

    @step(timeout_seconds=_LONGEST_SECONDS, idempotent=True)
    async def experiment(self, context: StepContext) -> Mapping[str, Any]:
        """Run it as an operation of its own. Raises: SuiteStopped where nothing more should be broken."""
        entry = context.input["entry"]
        chosen = context.results[f"choose:{entry}"]
        if chosen["experiment"] is None:
            return {"entry": entry, "state": "skipped", "reason": chosen["reason"]}
        record = await context.run_child("chaos.run", chosen["experiment"])
        run = await self._run(record)
        if run is None or run.state not in _GOES_ON:
            raise SuiteStopped(f"{entry}: {_why(record, run)}", hint=f"dbre op show {record.id}; the rest was not begun")
        score = run_score(run)
        if score is not None and score.gates:
            raise SuiteStopped(f"{entry}: {'; '.join(score.gates)}", hint=f"dbre chaos report {run.id}; the rest was not begun")
        found = {"entry": entry, "run": str(run.id), "state": run.state.value}
        return {**found, "score_ratio": score.value if score is not None else None, "reason": run.observed.get("reason")}

    @step(timeout_seconds=2 * 3600.0, idempotent=True)
    async def recover(self, context: StepContext) -> Mapping[str, Any]:
        """Wait until the cluster is whole again, and a little longer. Raises: NotRecovered."""
        suite, cluster = _suite(context), self._ground.fleet.cluster(context.input["cluster"])
        seconds = await until_whole(
            self._ground,
            cluster,
            context.application_name,
            before=context.results["stand"],
            limit_seconds=suite.recovery.total_seconds(),
        )
        await self._ground.clock.sleep(suite.pause.total_seconds())
        return {"seconds": seconds}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Every experiment came to an end, and the cluster is whole."""
        return [
            Verification(subject=name, holds=True, detail=f"{found.get('state')}: {found.get('reason') or 'it came and went'}")
            for name, found in context.results.items()
            if name.startswith("experiment:")
        ]

    async def _run(self, record: OperationRecord) -> Run | None:
        if self._ground.store is None:
            return None
        try:
            async with self._ground.store.read() as connection:
                return await find_run(connection, str(record.id))
        except NoSuchRun:
            return None


def _suite(context: StepContext) -> SuiteDocument:
    return SuiteDocument.model_validate(context.input["suite"])


def _why(record: OperationRecord, run: Run | None) -> str:
    if run is not None and run.observed.get("reason"):
        return f"{run.state.value}: {run.observed['reason']}"
    told = (record.error or {}).get("message") or record.abort_reason or f"its operation is {record.state.value}"
    return printable(str(told), limit=500)
