"""A drill of another tool's repository in the catalog, beside those of our own: so that proofs and pages show it."""

from dbre.capabilities.backup.drilling.recording import evidence_of, record_drill
from dbre.capabilities.backup.drilling.verdict import judge
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import Drill
from dbre.capabilities.backup.second_opinion.drilling import ForeignDrill

__all__ = ["record_foreign_drill"]

_LONGEST_ID = 40


async def record_foreign_drill(ground: BackupGround, drilled: ForeignDrill) -> Drill | None:
    """Write it down, with the verdict by the rules of all drills; None where no cluster of the inventory or no store is there.

    No operation made it: there is no signed pack of it, and none of our sets is proven by it.
    """
    cluster = drilled.plan.cluster
    if ground.store is None or not any(one.name == cluster for one in ground.fleet.clusters):
        return None
    found, outcome = judge(drilled.results), drilled.outcome
    made = Drill(
        id=drilled.id,
        cluster=cluster,
        set_id=drilled.set_id if len(drilled.set_id) <= _LONGEST_ID else None,
        system_id=drilled.plan.system_id,
        target_kind=drilled.plan.target.kind.value,
        target_value=None,
        mode="faithful",
        started_at=drilled.started_at,
        ended_at=drilled.ended_at,
        phases=drilled.phases,
        reached=outcome.position if outcome is not None else None,
        reached_commit_at=outcome.last_commit_at if outcome is not None else None,
        results=drilled.results,
        recovery_point_seconds=None,
        recovery_time_seconds=drilled.seconds if outcome is not None else None,
        verdict=found.verdict,
        reason=f"{drilled.repository}: {found.reason}",
        level=found.level,
        operation_id=None,
    )
    await record_drill(ground, ground.store, evidence_of(made))
    return made
