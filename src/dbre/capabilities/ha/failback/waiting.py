"""Until who came back has caught up, and nothing speaks against a planned change of primary."""

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.checks import PreCheck
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext
from dbre.core.units import format_duration

__all__ = ["NotReady", "wait_until_fit"]

_AGAIN_SECONDS = 1.0
_GOES_BY_ITSELF = {"lag_bytes", "lag_time"}
"""Rules that a replica which catches up comes to meet; what else is in the way gets as long as beginning to follow may take."""


class NotReady(DbreError):
    """The instance follows, and must not become primary yet. Nothing was changed for the clients."""

    code = "ha.not_ready"


async def wait_until_fit(
    ground: RejoinGround, context: StepContext, cluster: Cluster, *, to: str, patience_seconds: float
) -> float:
    """Ask every check again and again; gives the seconds. Raises: NotReady with what is in the way."""
    clock, began = context.clock, context.clock.monotonic()
    short, told = ground.servers.limits(cluster.name).follow.total_seconds(), ""
    stuck_since: float | None = None
    while True:
        await context.checkpoint()
        seen = await assess(ground.servers, cluster, to=to, purpose=context.application_name)
        now = clock.monotonic()
        if not seen.failed:
            return round(now - began, 3)
        words = "; ".join(_words(one) for one in seen.failed)
        if words != told:
            await context.note(f"in the way: {words}")
            told = words
        is_stuck = any(one.rule not in _GOES_BY_ITSELF for one in seen.failed)
        stuck_since = (stuck_since if stuck_since is not None else now) if is_stuck else None
        if now - began > patience_seconds or (stuck_since is not None and now - stuck_since > min(short, patience_seconds)):
            raise NotReady(
                f"{to} follows, and may not become primary after {format_duration(round(now - began, 1))}: {words}",
                hint=seen.failed[0].remedy or f"dbre ha switchover {cluster.name} --to {to} --check",
            )
        await clock.sleep(_AGAIN_SECONDS)


def _words(one: PreCheck) -> str:
    return f"{one.subject}: {one.rule.replace('_', ' ')}: {one.value} (wanted: {one.limit})"
