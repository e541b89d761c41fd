"""``ha.dr_switch``: the primary moves to another site, as planned; nothing is lost, or nothing happens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.acting import DisasterFailed, cluster_of, keep, prove_everywhere, run_child, verified
from dbre.capabilities.ha.disaster.documents import SwitchSitesInput
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.rules import checks_of
from dbre.capabilities.ha.disaster.surveying import DisasterSurvey, instance_in, look, require_candidate
from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.timing import timing_of
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step

__all__ = ["SwitchSites"]

_LONG_SECONDS = 4 * 3600.0
_SHORT_SECONDS = 900.0
_IN_THE_WAY = ("candidate", "lag")


class SwitchSites(Operation[SwitchSitesInput]):
    """Proof, the planned change of primary with its routes as a child, proof again, and what was measured."""

    kind, version = "ha.dr_switch", 1
    document = SwitchSitesInput

    def __init__(self, ground: DisasterGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: SwitchSitesInput) -> Plan:
        """Look at everything. Raises: PrecheckFailed naming what is in the way."""
        ground = self._ground
        cluster = ground.fleet.cluster(asked.cluster)
        found = await look(ground, cluster, ground.plan_of(cluster), to=asked.to)
        if found.here is found.there:
            raise PrecheckFailed(
                f"{found.primary}, the primary of {cluster.name}, is at {found.there.name} already",
                hint=f"dbre ha dr show {cluster.name}",
            )
        primary, candidate = require_candidate(found)
        _refuse(found, now=ground.clock.now())
        seen = await assess(ground.switchovers, cluster, to=candidate.name, purpose=context.application_name)
        if seen.failed:
            raise PrecheckFailed(
                "; ".join(f"{one.rule} ({one.subject}): {one.value}" for one in seen.failed),
                hint=f"dbre ha switchover {cluster.name} --to {candidate.name} --check",
                context={"failed": [one.rule for one in seen.failed]},
            )
        return _plan(found, primary.name, candidate.name)

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def prove(self, context: StepContext) -> Mapping[str, Any]:
        """Write and read back. Raises: DisasterFailed where the old primary fails: its successor could not be compared."""
        cluster = cluster_of(self._ground, context)
        primary = instance_in(cluster, context.input["primary"])
        found = await prove_everywhere(self._ground, cluster, self._ground.plan_of(cluster), primary)
        bad = [one for one in found["checks"] if not one["is_met"] and one["is_blocking"]]
        if bad and context.input["is_before"]:
            raise DisasterFailed(
                f"{bad[0]['subject']} does not pass before anything was done: {bad[0]['value']}", hint=bad[0]["remedy"]
            )
        return found

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True)
    async def switchover(self, context: StepContext) -> Mapping[str, Any]:
        """The planned change of primary; a repeated step finds the same one. Raises: DisasterFailed."""
        cluster = cluster_of(self._ground, context)
        record = await run_child(context, "ha.switchover", {"cluster": cluster.name, "to": context.input["to"]})
        timing = timing_of(record)
        return {"operation": str(record.id), "seconds": timing.seconds if timing is not None else None}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def keep(self, context: StepContext) -> Mapping[str, Any]:
        """Promised against measured."""
        results, given = context.results, context.input
        return await keep(
            self._ground,
            context,
            cluster_of(self._ground, context),
            Action.SWITCH,
            began_at=datetime.fromisoformat(results["prove:before"]["proved_at"]),
            primaries=(given["from"], given["to"]),
            checks=results["prove:after"]["checks"],
            lost_bytes=0,
            lost_seconds=0.0,
            loss="none: the old primary stopped before the new one was promoted",
            achieved_rto_seconds=results["switchover"]["seconds"],
            write_seconds=results["prove:after"]["write_seconds"],
        )

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Each place where clients write took what was written; the child has verified everything else."""
        return verified(context.results["prove:after"])


def _refuse(found: DisasterSurvey, *, now: datetime) -> None:
    """Raises: PrecheckFailed where the other site is not ready."""
    bad = [one for one in checks_of(found, now=now) if one.rule in _IN_THE_WAY and not one.is_met]
    if bad:
        raise PrecheckFailed(
            "; ".join(f"{one.rule}: {one.value} (wanted: {one.limit})" for one in bad),
            hint=bad[0].remedy,
            context={"failed": [one.rule for one in bad]},
        )


def _plan(found: DisasterSurvey, old: str, new: str) -> Plan:
    here = found.here.name if found.here is not None else "?"
    pair = {"from": old, "to": new}
    return Plan(
        target=f"cluster/{found.cluster.name}",
        summary=f"switch {found.cluster.name} from {here} to {found.there.name}: {new} becomes primary instead of {old}",
        steps=(
            Step("prove:before", summary=f"write to {old} and read back", input={"primary": old, "is_before": True}),
            Step("switchover", summary=f"make {new} the primary, and turn the routes", input=pair),
            Step("prove:after", summary=f"write to {new} and read back", input={"primary": new, "is_before": False}),
            Step("keep", summary="keep what was measured beside what is promised", input=pair),
        ),
        risk=Risk.MODERATE,
        changes=(Change(subject=f"{found.cluster.name}: site of the primary", before=here, after=found.there.name),),
        blast_radius=("nobody can write while the primary changes", f"clients are led to {found.there.name}"),
        observed={"primary": old, "candidate": new, "site": found.there.name},
    )
