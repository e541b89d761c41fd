"""``ha.dr_failback``: everybody follows again, and the primary goes home by ``ha.failback``; what is promised is measured."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.acting import cluster_of, keep, prove_everywhere, run_child, verified
from dbre.capabilities.ha.disaster.documents import FailbackInput
from dbre.capabilities.ha.disaster.exposure import exposure_of
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.surveying import instance_in, primary_of
from dbre.capabilities.ha.looking import read_lag
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step

__all__ = ["FailBack"]

_COPY_SECONDS = 7 * 86_400.0
_FAILBACK_SECONDS = 20 * 86_400.0  # its parts have limits of their own
_SHORT_SECONDS = 900.0


class FailBack(Operation[FailbackInput]):
    """Rejoins, a failback, proof. Nothing of it is taken back; each part is whole by itself."""

    kind, version = "ha.dr_failback", 2  # 1: waited and changed the primary itself
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
                f"no instance of {cluster.name}, or more than one, takes writes",
                hint=f"dbre ha status {cluster.name}; who of two must give way: dbre ha rejoin {cluster.name} INSTANCE",
            )
        exposures = exposure_of(topology, lags)
        never = ground.switchovers.limits(cluster.name).never
        target = next((one for one in home.instances if one not in never), None)
        if target is None:
            raise PrecheckFailed(f"no instance at {home.name} may become primary", hint="see ha: clusters: switchover: never")
        is_home = primary.name in home.instances
        out = [
            one.name
            for one in cluster.instances
            if one is not primary and not (one.name in exposures and exposures[one.name].is_receiving)
        ]
        first = [name for name in out if is_home or name != target]  # the failback itself lets the target follow
        steps = [_rejoin_step(name, asked) for name in first]
        if not is_home:
            steps += _home_steps(primary.name, target, asked)
        return _plan(cluster, primary.name, target, home.name, steps, out=out, asked=asked, is_home=is_home)

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

    @step(timeout_seconds=_FAILBACK_SECONDS, idempotent=True)
    async def failback(self, context: StepContext) -> Mapping[str, Any]:
        """What ``dbre ha failback`` does: rejoin where it is needed, wait, change the primary. Raises: DisasterFailed."""
        record = await run_child(context, "ha.failback", context.input["asked"])
        done = {one.name: one.result or {} for one in record.steps if one.phase == "do"}
        return {
            "operation": str(record.id),
            "began_at": (record.started_at or record.created_at).isoformat(),
            "lost_writes": done.get("rejoin", {}).get("lost_writes"),
            "seconds": done["switch"]["write_gap_seconds"],
        }

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
            began_at=datetime.fromisoformat(context.results["failback"]["began_at"]),
            primaries=(given["from"], given["to"]),
            checks=found["checks"],
            lost_bytes=0,
            lost_seconds=0.0,
            loss="none: the old primary stopped before the new one was promoted",
            achieved_rto_seconds=context.results["failback"]["seconds"],
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


def _rejoin_step(name: str, asked: FailbackInput) -> Step:
    given = {"instance": name, "without_evidence": asked.without_evidence}
    return Step(f"rejoin:{name}", summary=f"let {name} follow again: as it is, rewound, or copied anew", input=given)


def _home_steps(old: str, new: str, asked: FailbackInput) -> list[Step]:
    pair = {"from": old, "to": new}
    part = {"cluster": asked.cluster, "to": new} | asked.model_dump(include={"without_evidence", "patience_seconds"})
    return [
        Step(
            "failback",
            summary=f"make {new} the primary, which follows and has caught up before, and turn the routes",
            input=pair | {"asked": part},
        ),
        Step("prove", summary=f"write to {new} and read back; keep what was measured", input=pair),
    ]


def _plan(
    cluster: Cluster,
    old: str,
    new: str,
    home: str,
    steps: Sequence[Step],
    *,
    out: list[str],
    asked: FailbackInput,
    is_home: bool,
) -> Plan:
    what = f"lead {cluster.name} back to {home}: {new} becomes primary instead of {old}"
    if is_home:
        what = f"{cluster.name} has its primary at {home}" + (f"; let {', '.join(out)} follow again" if out else "")
    kept = "no file of it is written" if asked.without_evidence else "it is written to a file first, where it can be"
    return Plan(
        target=f"cluster/{cluster.name}",
        summary=what,
        steps=tuple(steps),
        risk=Risk.READ if not steps else Risk.SEVERE if out else Risk.MODERATE,
        changes=() if is_home else (Change(subject=f"{cluster.name}: primary", before=old, after=new),),
        blast_radius=tuple(
            [f"what only {name} committed is taken from it; {kept}" for name in out]
            + ([] if is_home else ["nobody can write while the primary changes"])
        ),
        observed={"primary": old, "ends_with": old if is_home else new, "out": out},
    )
