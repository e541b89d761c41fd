"""``ha.drill``: a failover on purpose, again and again, with what clients saw of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.drills.changing import DrillFailed, lead_home
from dbre.capabilities.ha.drills.document import Changer, DrillInput, DrillKind
from dbre.capabilities.ha.drills.faults import DrillFault, LeftDead, faults_of
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.locating import find_agents, find_health, require_health
from dbre.capabilities.ha.drills.measures import RunMeasures
from dbre.capabilities.ha.drills.regions import region_of
from dbre.capabilities.ha.drills.repository import keep_run
from dbre.capabilities.ha.drills.reviving import revive
from dbre.capabilities.ha.drills.running import DrillRun
from dbre.core.errors import DbreError, PrecheckFailed, StoreError, Unsupported, UsageError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.ports.contact import contact
from dbre.ports.succession import GivesUp, NoControl

__all__ = ["Drill"]

_LONGEST_SECONDS = 3 * 3600.0
_LOOK_SECONDS = 0.25


class Drill(Operation[DrillInput]):
    """Each run is a step: clients, fault, change of primary, truth; and one more, in which the cluster becomes whole."""

    kind, version = "ha.drill", 1
    document = DrillInput

    def __init__(self, ground: DrillGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: DrillInput) -> Plan:  # noqa: ARG002 - sweeps name themselves
        """Look at everything that a run needs. Raises: PrecheckFailed, UsageError."""
        ground, cluster = self._ground, self._ground.fleet.cluster(asked.cluster)
        if not ground.rules(cluster.name).allows(cluster.environment):
            raise PrecheckFailed(
                f"{cluster.name} is of the environment {cluster.environment}: no failover is drilled there",
                hint=f"choose another cluster, or ha: clusters: - cluster: {cluster.name} drill: allowed: true",
            )
        by = _changer(asked, is_managed=ground.settings.of(cluster.name).patroni is not None)
        health = await require_health(ground, cluster)
        primary = health.primaries[0]
        agents = await find_agents(ground, cluster, primary)
        region = region_of(ground.settings, asked.kind, cluster, primary)
        faults = faults_of(asked.kind, cluster, primary, agent=agents.agent, stores=agents.stores, region=region)
        await ground.faults.check(cluster, faults, operation=None)
        if by is Changer.DBRE and agents.agent is None and asked.kind is not DrillKind.PLANNED:
            await self._require_way_back(cluster, primary)
        return _plan(asked, by, primary, faults, replicating=health.replicating)

    async def _require_way_back(self, cluster: Cluster, primary: str) -> None:
        """The old primary has to come back as a follower, whoever starts it. Raises: Unsupported, NoControl."""
        address = self._ground.fleet.instance(primary).address
        async with contact(self._ground.engines, cluster, address, purpose="dbre:drill") as server:
            standing = await server.succession.standing()
        if standing.gives_up is not GivesUp.BY_STOPPING:
            raise Unsupported(
                f"nothing keeps a dead primary of {cluster.engine} from coming back as a primary: it is not drilled",
                hint="drill planned; for the others, fail over and let it follow by hand",
            )
        for one in cluster.instances:
            if one.control is None:
                raise NoControl(
                    f"the inventory does not say how {one.name} is stopped and started: it could not come back",
                    hint="add control: to each instance",
                )

    @step(timeout_seconds=_LONGEST_SECONDS, attempts=1)
    async def run(self, context: StepContext) -> Mapping[str, Any]:
        """Clients, a fault, another primary, the truth. One that fails says why, and the next may still be done.

        Raises: DbreError where a fault stays.
        """
        asked, by = _asked(context), Changer(context.input["by"])
        await context.checkpoint()
        number = context.input["number"]
        run = DrillRun(self._ground, asked, by, context, number=number, replicating=context.input["replicating"])
        is_left = False
        try:
            return (await run.run()).document()
        except StoreError:
            raise
        except LeftDead as error:
            is_left = True
            if self._ground.store is not None:
                await keep_run(self._ground.store, context.token.operation_id, asked.cluster, run.failed(error))
            raise
        except DbreError as error:
            await context.note(f"run {number} failed: {error.message}")
            return run.failed(error).document()
        finally:
            if not is_left:
                await self._ground.faults.heal(context.token.operation_id)

    @run.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Whoever ran it is dead: faults are taken back, what they killed is started, and what was measured is lost."""
        asked = _asked(context)
        cluster = self._ground.fleet.cluster(asked.cluster)
        await revive(self._ground, context, cluster, kind=asked.kind)
        return {"is_interrupted": True, "healed": await self._ground.faults.heal(context.token.operation_id)}

    @step(timeout_seconds=3 * 3600.0, idempotent=True)
    async def restore(self, context: StepContext) -> Mapping[str, Any]:
        """Keep the run, and see that as many replicas follow as before. Raises: DrillFailed where they do not."""
        asked, ground = _asked(context), self._ground
        cluster = ground.fleet.cluster(asked.cluster)
        measured = context.results[f"run:{context.input['number']}"]
        if measured.get("is_interrupted"):
            raise DrillFailed(
                f"the process that ran it died; of its faults {measured['healed']} were taken back, and nothing was measured",
                hint=f"see how {cluster.name} stands: dbre ha status {cluster.name}; then drill again",
            )
        run = RunMeasures.of(measured)
        if ground.store is not None:  # before the wait: what was measured stays, whatever becomes of the rest
            await keep_run(ground.store, context.token.operation_id, cluster.name, run)
        limit, replicating = asked.whole.total_seconds(), context.input["replicating"]
        await self._until_whole(cluster, limit_seconds=limit, replicating=replicating)
        if asked.kind is DrillKind.REGION_LOSS:  # so that every run loses the same site, and the last one leaves none behind
            await lead_home(ground, context, cluster, limit_seconds=limit)
            await self._until_whole(cluster, limit_seconds=limit, replicating=replicating)
        return {"number": run.number}

    async def _until_whole(self, cluster: Cluster, *, limit_seconds: float, replicating: int) -> None:
        ground = self._ground
        end = ground.clock.monotonic() + limit_seconds
        while (lacking := (await find_health(ground, cluster)).lacks(replicating=replicating)) is not None:
            if ground.clock.monotonic() > end:
                raise DrillFailed(
                    f"{cluster.name} is not whole after {format_duration(limit_seconds)}: {lacking}; no further run was begun",
                    hint=f"dbre ha status {cluster.name}",
                )
            await ground.clock.sleep(_LOOK_SECONDS)

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Something was measured; of the runs that failed it is told why, and how many there were."""
        runs = [RunMeasures.of(found) for name, found in context.results.items() if name.startswith("run:")]
        failed = [one for one in runs if one.failure is not None]
        measured = Verification(
            subject="runs",
            holds=len(failed) < len(runs),
            detail=f"{len(failed)} of {counted(len(runs), 'run')} failed"
            + "".join(f"; {one.number}: {one.failure}" for one in failed[:5]),
        )
        return [measured, *(_measured(one) for one in runs if one.failure is None)]


def _measured(run: RunMeasures) -> Verification:
    return Verification(
        subject=f"run:{run.number}",
        holds=run.outage_seconds is not None,
        detail=f"outage {format_duration(run.outage_seconds or 0.0)}, lost {run.lost}, "
        f"acknowledged by the old primary after the promotion: {run.old_acknowledged}",
    )


def _changer(asked: DrillInput, *, is_managed: bool) -> Changer:
    """Raises: UsageError for what cannot be."""
    by = asked.by or (Changer.PATRONI if is_managed else Changer.DBRE)
    if by is Changer.PATRONI and not is_managed:
        raise UsageError(
            f"the configuration names no Patroni for {asked.cluster}", hint="leave out --by, or add patroni: urls:"
        )
    alive = (DrillKind.LEADER_CRASH, DrillKind.PATRONI_FREEZE)
    if by is Changer.DBRE and is_managed and asked.kind in alive:
        raise UsageError(
            f"in a {asked.kind} the node lives: dbre never takes the lease from a leader that may live",
            hint="leave out --by dbre, or drill node-loss",
        )
    return by


def _plan(asked: DrillInput, by: Changer, primary: str, faults: Sequence[DrillFault], *, replicating: int) -> Plan:
    where = "everything at the site of the primary" if asked.kind is DrillKind.REGION_LOSS else "the primary"
    done = ", ".join(dict.fromkeys(f"{one.fault} on {where}" for one in faults)) or "a switchover"
    hits = ", ".join(one.instance for one in faults)
    document = {"asked": asked.model_dump(mode="json"), "by": by.value, "replicating": replicating}
    steps = []
    for number in range(1, asked.runs + 1):
        steps += [
            Step(f"run:{number}", summary=f"clients at work; {done}; what they saw", input={**document, "number": number}),
            Step(
                f"restore:{number}",
                summary=f"see {counted(replicating, 'replica')} following again",
                input={**document, "number": number},
            ),
        ]
    warnings = ["clients get errors meanwhile; writes that the new primary never received are lost, and counted"]
    if by is Changer.DBRE and asked.kind is not DrillKind.PLANNED:
        warnings.append("the failover is done whatever it loses: that is what is measured")
    return Plan(
        target=f"cluster/{asked.cluster}",
        summary=f"drill {asked.kind} on {asked.cluster}, {counted(asked.runs, 'time')}; now {primary} is primary",
        steps=tuple(steps),
        risk=Risk.SEVERE,
        changes=(Change(subject=f"{asked.cluster}: primary", before=primary, after="another one"),),
        blast_radius=(f"{done}, now {hits}: nobody can write meanwhile",) if faults else (),
        warnings=tuple(warnings),
        observed={"replicating": replicating, "by": by.value},
        tags=("chaos",),
    )


def _asked(context: StepContext) -> DrillInput:
    return DrillInput.model_validate(context.input["asked"])
