"""``ha.dr_failback``: everybody follows again, and the primary goes home."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.acting import DisasterFailed, cluster_of, keep, prove_everywhere, run_child, verified
from dbre.capabilities.ha.disaster.documents import FailbackInput
from dbre.capabilities.ha.disaster.exposure import exposure_of
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.surveying import instance_in, primary_of
from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.switchover.timing import timing_of
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.units import format_bytes

__all__ = ["FailBack"]

_COPY_SECONDS = 7 * 86_400.0
_LONG_SECONDS = 4 * 3600.0
_SHORT_SECONDS = 900.0
_LOOK_SECONDS = 0.5


class FailBack(Operation[FailbackInput]):
    """Rejoins, a wait, the planned change of primary, proof. Nothing of it is taken back; each part is whole by itself."""

    kind, version = "ha.dr_failback", 1
    document = FailbackInput

    def __init__(self, ground: DisasterGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: FailbackInput) -> Plan:  # noqa: ARG002 - sweeps name themselves
        """See who does not follow. Raises: PrecheckFailed where there is no one primary, or nobody at home may become it."""
        ground = self._ground
        cluster = ground.fleet.cluster(asked.cluster)
        home = ground.plan_of(cluster).home
        topology, lags = await read_lag(ground.engines, ground.fleet, cluster)
        primary = primary_of(topology, cluster)
        if primary is None:
            raise PrecheckFailed(
                f"no instance of {cluster.name}, or more than one, takes writes", hint=f"dbre ha status {cluster.name}"
            )
        exposures = exposure_of(topology, lags)
        out = [
            one.name
            for one in cluster.instances
            if one is not primary and not (one.name in exposures and exposures[one.name].is_receiving)
        ]
        never = ground.switchovers.limits(cluster.name).never
        target = next((one for one in home.instances if one not in never), None)
        if target is None:
            raise PrecheckFailed(f"no instance at {home.name} may become primary", hint="see ha: clusters: switchover: never")
        is_home = primary.name in home.instances
        steps = [_rejoin_step(name, without_evidence=asked.without_evidence) for name in out]
        if not is_home:
            steps += _home_steps(primary.name, target)
        return _plan(cluster, primary.name, target, home.name, steps, is_home=is_home)

    @step(timeout_seconds=_COPY_SECONDS, idempotent=True)
    async def rejoin(self, context: StepContext) -> Mapping[str, Any]:
        """As it is, rewound, or copied; a step that is repeated finds the same rejoin. Raises: DisasterFailed."""
        given = context.input
        asked = {
            "cluster": cluster_of(self._ground, context).name,
            "instance": given["instance"],
            "without_evidence": given["without_evidence"],
        }
        record = await run_child(context, "ha.rejoin", asked)
        return {"operation": str(record.id)}

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True)
    async def await_lag(self, context: StepContext) -> Mapping[str, Any]:
        """Until the one at home is near enough. Raises: DisasterFailed after the time of the step."""
        ground, cluster = self._ground, cluster_of(self._ground, context)
        limit, clock = ground.plan_of(cluster).max_lag, context.clock
        end, began = clock.monotonic() + _LONG_SECONDS - 60.0, clock.now()
        while True:
            await context.checkpoint()
            topology, lags = await read_lag(ground.engines, ground.fleet, cluster)
            found = exposure_of(topology, lags).get(context.input["to"])
            if found is not None and found.is_receiving and (found.bytes is None or found.bytes <= limit):
                return {"began_at": began.isoformat(), "bytes": found.bytes, "seconds": found.seconds}
            if clock.monotonic() > end:
                raise DisasterFailed(
                    f"{context.input['to']} does not come within {format_bytes(limit)} of the primary",
                    hint=f"dbre ha lag {cluster.name}; then dbre ha dr failback {cluster.name} again",
                )
            await clock.sleep(_LOOK_SECONDS)

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True)
    async def switchover(self, context: StepContext) -> Mapping[str, Any]:
        """The planned change of primary, with its checks and routes. Raises: DisasterFailed."""
        name = cluster_of(self._ground, context).name
        record = await run_child(context, "ha.switchover", {"cluster": name, "to": context.input["to"]})
        timing = timing_of(record)
        return {"operation": str(record.id), "seconds": timing.seconds if timing is not None else None}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def prove(self, context: StepContext) -> Mapping[str, Any]:
        """Write at home and read back; keep what was measured."""
        ground, cluster, given = self._ground, cluster_of(self._ground, context), context.input
        found = await prove_everywhere(ground, cluster, ground.plan_of(cluster), instance_in(cluster, given["to"]))
        run = await keep(
            ground,
            context,
            cluster,
            Action.FAILBACK,
            began_at=datetime.fromisoformat(context.results["await-lag"]["began_at"]),
            primaries=(given["from"], given["to"]),
            checks=found["checks"],
            lost_bytes=0,
            lost_seconds=0.0,
            loss="none: the old primary stopped before the new one was promoted",
            achieved_rto_seconds=context.results["switchover"]["seconds"],
            write_seconds=found["write_seconds"],
        )
        return {"run": run, "checks": found["checks"], "silent": found["silent"]}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Everybody follows the one primary."""
        ground, cluster = self._ground, cluster_of(self._ground, context)
        topology, lags = await read_lag(ground.engines, ground.fleet, cluster)
        wanted, found = context.plan.observed["ends_with"], primary_of(topology, cluster)
        exposures = exposure_of(topology, lags)
        told = [
            Verification(
                subject=f"{cluster.name}: primary",
                holds=found is not None and found.name == wanted,
                detail=f"{found.name if found is not None else 'none, or several'} (wanted: {wanted})",
            )
        ]
        return [
            *told,
            *(verified(context.results["prove"]) if "prove" in context.results else ()),
            *(
                Verification(
                    subject=f"{one.name}: follows",
                    holds=one.name in exposures and exposures[one.name].is_receiving,
                    detail=exposures[one.name].text if one.name in exposures else "it follows nobody",
                )
                for one in cluster.instances
                if one.name != wanted
            ),
        ]


def _rejoin_step(name: str, *, without_evidence: bool) -> Step:
    given = {"instance": name, "without_evidence": without_evidence}
    return Step(f"rejoin:{name}", summary=f"let {name} follow again: as it is, rewound, or copied anew", input=given)


def _home_steps(old: str, new: str) -> list[Step]:
    pair = {"from": old, "to": new}
    return [
        Step("await-lag", summary=f"wait until {new} is near the primary", input=pair),
        Step("switchover", summary=f"make {new} the primary, and turn the routes", input=pair),
        Step("prove", summary=f"write to {new} and read back; keep what was measured", input=pair),
    ]


def _plan(cluster: Cluster, old: str, new: str, home: str, steps: Sequence[Step], *, is_home: bool) -> Plan:
    rejoined = [one.input["instance"] for one in steps if one.handler == "rejoin"]
    what = f"lead {cluster.name} back to {home}: {new} becomes primary instead of {old}"
    if is_home:
        what = f"{cluster.name} has its primary at {home}" + (f"; let {', '.join(rejoined)} follow again" if rejoined else "")
    return Plan(
        target=f"cluster/{cluster.name}",
        summary=what,
        steps=tuple(steps),
        risk=Risk.READ if not steps else Risk.SEVERE if rejoined else Risk.MODERATE,
        changes=() if is_home else (Change(subject=f"{cluster.name}: primary", before=old, after=new),),
        blast_radius=tuple(
            [f"what only {name} committed is taken from it; it is written to a file first" for name in rejoined]
            + ([] if is_home else ["nobody can write while the primary changes"])
        ),
        observed={"primary": old, "ends_with": old if is_home else new, "out": rejoined},
    )
