"""Another instance becomes primary during a drill: by Patroni, by a failover of ours, or as planned."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.failover.surveying import KIND, RELEASE, FailoverRefused
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import StepContext
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState

__all__ = ["DrillFailed", "bring_back", "fail_over", "switch_over"]

_AGAIN_SECONDS = 0.2
_START_SECONDS = 120.0


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
    began, reason = ground.clock.monotonic(), ""
    while ground.clock.monotonic() - began < limit_seconds:
        try:
            asked_at = ground.clock.monotonic()
            record = await context.run_child(kind, asked)
        except FailoverRefused as error:  # it is not known yet to be dead
            reason = error.message
            await ground.clock.sleep(_AGAIN_SECONDS)
            continue
        return _succeeded(record), asked_at - began
    raise DrillFailed(f"no failover was allowed within {limit_seconds:.0f} s: {reason}", hint="dbre ha failover --check")


async def switch_over(context: StepContext, cluster: Cluster) -> OperationRecord:
    """As planned. Raises: DrillFailed, PrecheckFailed."""
    return _succeeded(await context.run_child("ha.switchover", {"cluster": cluster.name, "to": None}))


def _succeeded(record: OperationRecord) -> OperationRecord:
    if record.state is not OperationState.SUCCEEDED:
        told = (record.error or {}).get("message") or record.state.value
        raise DrillFailed(f"{record.planned.kind} did not succeed: {told}", hint=f"dbre op show {record.id}")
    return record


async def bring_back(ground: DrillGround, cluster: Cluster, old: Instance, failover: OperationRecord) -> None:
    """Start the old primary, which the failover made a follower. Raises: DrillFailed where nothing says that it is one."""
    if not any(one.name == "bar" and one.phase == "do" and one.state == "done" for one in failover.steps):
        raise DrillFailed(
            f"nothing keeps {old.name} from coming back as a primary: it stays stopped",
            hint="say how its process is started and stopped (control:), and let it follow by hand",
        )
    await ground.engines.get(cluster.engine).host(old).start(limit_seconds=_START_SECONDS)
