"""What the operations of plans for the loss of a site have in common: proofs, children, what is kept."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action, DisasterRun
from dbre.capabilities.ha.disaster.plan_document import DisasterPlan
from dbre.capabilities.ha.disaster.proving import places_of, prove
from dbre.capabilities.ha.disaster.repository import keep_run
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import OutcomeUnknown, Verification
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.ports.succession import Obstacle

__all__ = ["DisasterFailed", "cluster_of", "keep", "obstacle_row", "prove_everywhere", "run_child", "verified"]


class DisasterFailed(DbreError):
    """A part of the plan did not succeed; what was done before it stays as it is."""

    code = "ha.disaster_failed"


def cluster_of(ground: DisasterGround, context: StepContext) -> Cluster:
    """The cluster that the operation is about."""
    return ground.fleet.cluster(context.plan.target.rpartition("/")[2])


async def prove_everywhere(ground: DisasterGround, cluster: Cluster, plan: DisasterPlan, primary: Instance) -> dict[str, Any]:
    """Write and read back wherever clients do; ``silent`` are places that did not take all that was written."""
    names = {primary.address: primary.name}
    places = places_of(cluster, primary.address)
    proofs = await asyncio.gather(
        *(prove(ground.engines, cluster, one, plan.checks, ground.clock, name=names.get(one, str(one))) for one in places)
    )
    took = [one.p95_seconds for one in proofs if one.p95_seconds is not None]
    return {
        "checks": [obstacle_row(one.obstacle) for one in proofs],
        "silent": [one.subject for one in proofs if one.done < one.wanted and not one.is_unknown],
        "write_seconds": max(took) if len(took) == len(proofs) else None,
        "proved_at": ground.clock.now().isoformat(),
    }


def verified(proved: Mapping[str, Any]) -> list[Verification]:
    """That each place took what was written; one that is only slow is told, and is no reason for a person to look."""
    return [
        Verification(
            subject=f"{one['subject']}: {one['rule']}", holds=one["subject"] not in proved["silent"], detail=one["value"]
        )
        for one in proved["checks"]
    ]


async def run_child(context: StepContext, kind: str, asked: Mapping[str, Any]) -> OperationRecord:
    """Plan and run it as a part of this step. Raises: DisasterFailed naming it where it does not succeed; OutcomeUnknown."""
    record = await context.run_child(kind, asked)
    if record.state is OperationState.NEEDS_OPERATOR:
        raise OutcomeUnknown(f"operation {record.id} ({kind}), a part of this one, needs an operator: dbre op show {record.id}")
    if record.state is not OperationState.SUCCEEDED:
        told = (record.error or {}).get("message") or record.state.value
        raise DisasterFailed(f"{kind} did not succeed: {told}", hint=f"dbre op show {record.id}")
    return record


async def keep(
    ground: DisasterGround,
    context: StepContext,
    cluster: Cluster,
    action: Action,
    *,
    began_at: datetime,
    primaries: tuple[str | None, str | None],
    checks: Sequence[Mapping[str, Any]],
    **measured: Any,
) -> dict[str, Any]:
    """Keep what was done and measured; what did not hold of the checks is said in it."""
    plan = ground.plan_of(cluster)
    before, after = (plan.site_of(one) if one is not None else None for one in primaries)
    failed = [f"{one['subject']}: {one['value']}" for one in checks if not one["is_met"] and one["is_blocking"]]
    run = DisasterRun(
        action=action.value,
        site_before=before.name if before is not None else None,
        site_after=after.name if after is not None else None,
        primary_before=primaries[0],
        primary_after=primaries[1],
        began_at=began_at.isoformat(),
        rpo_seconds=plan.objectives.rpo.total_seconds(),
        rto_seconds=plan.objectives.rto.total_seconds(),
        failed=tuple(failed),
        **measured,
    )
    if ground.store is not None:
        await keep_run(ground.store, context.token.operation_id, cluster.name, run)
    return run.document()


def obstacle_row(one: Obstacle) -> dict[str, Any]:
    """A check as the journal holds it and commands show it."""
    return {
        "rule": one.rule,
        "subject": one.subject,
        "is_met": one.is_met,
        "is_blocking": one.is_blocking,
        "value": one.value,
        "limit": one.limit,
        "source": one.source,
        "remedy": one.remedy,
    }
