"""Another instance becomes primary during a drill: by Patroni, by a failover of ours, or as planned."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.failover.surveying import KIND, RELEASE
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState

__all__ = ["DrillFailed", "bring_back", "fail_over", "switch_over"]

_AGAIN_SECONDS = 0.2


class DrillFailed(DbreError):
    """The cluster did not do what the drill is about; faults were taken back."""

    code = "ha.drill_failed"


async def fail_over(
    ground: DrillGround, context: StepContext, cluster: Cluster, *, old: str, limit_seconds: float
) -> tuple[OperationRecord, float]:
    """Ask for a failover until it is allowed, as whoever watches would; gives its end, and after how long it was allowed.

    Raises: DrillFailed with what spoke against it.
    """
    kind = RELEASE if ground.settings.of(cluster.name).patroni is not None else KIND
    asked: Mapping[str, Any] = {"cluster": cluster.name, "primary": old, "accept_loss": True}
    return await _until_allowed(ground, context, kind, asked, limit_seconds=limit_seconds)


async def switch_over(ground: DrillGround, context: StepContext, cluster: Cluster, *, limit_seconds: float) -> OperationRecord:
    """As planned, once every check allows it. Raises: DrillFailed."""
    asked = {"cluster": cluster.name, "to": None}
    return (await _until_allowed(ground, context, "ha.switchover", asked, limit_seconds=limit_seconds))[0]


async def _until_allowed(
    ground: DrillGround, context: StepContext, kind: str, asked: Mapping[str, Any], *, limit_seconds: float
) -> tuple[OperationRecord, float]:
    began, reason = ground.clock.monotonic(), ""
    while ground.clock.monotonic() - began < limit_seconds:
        asked_at = ground.clock.monotonic()
        try:
            record = await context.run_child(kind, asked)
        except PrecheckFailed as error:  # not yet: nobody knows it to be dead, or somebody was too slow to answer
            reason = error.message
            await ground.clock.sleep(_AGAIN_SECONDS)
            continue
        return _succeeded(record), asked_at - began
    raise DrillFailed(f"{kind} was not allowed within {limit_seconds:.0f} s: {reason}", hint="see it with --check")


def _succeeded(record: OperationRecord) -> OperationRecord:
    if record.state is not OperationState.SUCCEEDED:
        told = (record.error or {}).get("message") or record.state.value
        raise DrillFailed(f"{record.planned.kind} did not succeed: {told}", hint=f"dbre op show {record.id}")
    return record


async def bring_back(context: StepContext, cluster: Cluster, old: str) -> OperationRecord:
    """Let the old primary follow the new one, rewound where its history is another. Raises: DrillFailed, PrecheckFailed."""
    # What only it had is counted by the clients: no copy of it is kept.
    asked = {"cluster": cluster.name, "instance": old, "without_evidence": True}
    return _succeeded(await context.run_child("ha.rejoin", asked))
