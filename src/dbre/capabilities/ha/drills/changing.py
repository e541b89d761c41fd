"""Another instance becomes primary during a drill: by Patroni, by a failover of ours, or as planned."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.disaster.acting import DisasterFailed
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.locating import find_health
from dbre.capabilities.ha.drills.regions import FAILBACK_KIND, FAILOVER_KIND
from dbre.capabilities.ha.failover.surveying import KIND, RELEASE, FailoverRefused
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState

__all__ = ["DrillFailed", "bring_back", "fail_over", "lead_home", "set_right", "switch_over"]

_AGAIN_SECONDS = 0.2
_START_SECONDS = 120.0
_NOT_YET = (FailoverRefused.code, PrecheckFailed.code, PlanChanged.code, DisasterFailed.code)


class DrillFailed(DbreError):
    """The cluster did not do what the drill is about; faults were taken back."""

    code = "ha.drill_failed"


async def fail_over(
    ground: DrillGround,
    context: StepContext,
    cluster: Cluster,
    *,
    old: str,
    limit_seconds: float,
    is_region: bool = False,
) -> tuple[OperationRecord, float]:
    """Ask for a failover until it is allowed, as whoever watches would; gives its end, and after how long it was allowed.

    Raises: DrillFailed with what spoke against it.
    """
    kind = RELEASE if ground.settings.of(cluster.name).patroni is not None else FAILOVER_KIND if is_region else KIND
    asked: Mapping[str, Any] = {"cluster": cluster.name, "primary": old, "accept_loss": True}
    return await _until_allowed(ground, context, kind, asked, limit_seconds=limit_seconds)


async def switch_over(ground: DrillGround, context: StepContext, cluster: Cluster, *, limit_seconds: float) -> OperationRecord:
    """As planned, once every check allows it. Raises: DrillFailed."""
    asked = {"cluster": cluster.name, "to": None}
    return (await _until_allowed(ground, context, "ha.switchover", asked, limit_seconds=limit_seconds))[0]


async def lead_home(ground: DrillGround, context: StepContext, cluster: Cluster, *, limit_seconds: float) -> OperationRecord:
    """The primary goes back to the site where it belongs, by the plan for the loss of one. Raises: DrillFailed."""
    asked = {"cluster": cluster.name, "without_evidence": True}
    return (await _until_allowed(ground, context, FAILBACK_KIND, asked, limit_seconds=limit_seconds))[0]


async def _until_allowed(
    ground: DrillGround, context: StepContext, kind: str, asked: Mapping[str, Any], *, limit_seconds: float
) -> tuple[OperationRecord, float]:
    began, reason, turn = ground.clock.monotonic(), "", 0
    while ground.clock.monotonic() - began < limit_seconds:
        asked_at = ground.clock.monotonic()
        try:
            record = await context.run_child(kind, asked, turn=turn)
        except PrecheckFailed as error:  # not yet: nobody knows it to be dead, or somebody was too slow to answer
            reason = error.message
        else:
            if not _was_refused(record):
                return _succeeded(record), asked_at - began
            # It looked twice, and somebody answered late the second time, or a lease had just moved: nothing was touched.
            reason, turn = str((record.error or {}).get("message")), turn + 1
        await ground.clock.sleep(_AGAIN_SECONDS)
    raise DrillFailed(f"{kind} was not allowed within {limit_seconds:.0f} s: {reason}", hint="see it with --check")


def _was_refused(record: OperationRecord) -> bool:
    """Whether it ended at a check; one that had changed something would have taken it back."""
    return record.state is OperationState.FAILED and (record.error or {}).get("code") in _NOT_YET


def _succeeded(record: OperationRecord) -> OperationRecord:
    if record.state is not OperationState.SUCCEEDED:
        told = (record.error or {}).get("message") or record.state.value
        raise DrillFailed(
            f"{record.planned.kind} {record.id} did not succeed: {told}",
            hint=f"dbre op show {record.id}",
            context={"state": record.state.value},
        )
    return record


async def bring_back(context: StepContext, cluster: Cluster, old: str) -> OperationRecord:
    """Let the old primary follow the new one, rewound where its history is another. Raises: DrillFailed, PrecheckFailed."""
    # What only it had is counted by the clients: no copy of it is kept.
    asked = {"cluster": cluster.name, "instance": old, "without_evidence": True}
    return _succeeded(await context.run_child("ha.rejoin", asked))


async def set_right(
    ground: DrillGround, context: StepContext, cluster: Cluster, killed: Sequence[str], *, after: DrillFailed
) -> bool:
    """A failover failed, and nobody else starts the servers that were killed, the old primary first.

    They are started as what they were where no other instance was promoted for sure, and follow whoever was. Nothing is done
    where a promotion may yet come about, or somebody else is silent; whether something was. Raises: DbreError.
    """
    health = await find_health(ground, cluster)
    if after.context.get("state") == OperationState.NEEDS_OPERATOR or set(health.silent) - set(killed):
        return False
    if any(one not in killed for one in health.primaries):
        for name in killed:
            await bring_back(context, cluster, name)
        return True
    for name in killed:
        if name in health.silent:
            await ground.engines.get(cluster.engine).host(ground.fleet.instance(name)).start(limit_seconds=_START_SECONDS)
    return True
