"""A whole decision: look around, see what else is known, and weigh it."""

import asyncio
import os
from dataclasses import dataclass, replace

from dbre.capabilities.ha.disaster.witness import witness_reason
from dbre.capabilities.ha.failover.deciding import Asked, Decision, Surroundings, decide
from dbre.capabilities.ha.failover.drain_forecast import DrainForecast
from dbre.capabilities.ha.failover.fences import Ladder, ladder_of
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.failover.situation import Situation, look_around
from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState

__all__ = ["KIND", "KINDS", "RELEASE", "RESCUE", "FailoverRefused", "Survey", "refuse", "survey"]

KIND = "ha.failover"
RELEASE = "ha.release"
RESCUE = "ha.rescue"
_SITE = "ha.dr_failover"
KINDS = (KIND, RELEASE, RESCUE, _SITE)
_NEWEST = 100
_DONE = (
    OperationState.SUCCEEDED,
    OperationState.COMPENSATED,
    OperationState.FAILED,
    OperationState.NEEDS_OPERATOR,
    OperationState.CLOSED,
)


class FailoverRefused(PrecheckFailed):
    """Something speaks against this failover."""

    code = "ha.failover_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found, and what is thought of it."""

    situation: Situation
    decision: Decision
    ladder: Ladder
    drain: DrainForecast | None = None  # of the candidate; None: nothing has to be applied before it is promoted


async def survey(ground: FailoverGround, cluster: Cluster, asked: Asked, *, primary: str | None, fence_id: str) -> Survey:
    """Find out everything that a failover of a cluster depends on; changes nothing. Raises: PrecheckFailed."""
    situation = await look_around(ground, cluster, primary=primary)
    ladder = await ladder_of(ground, cluster, situation.primary, fence_id=fence_id)
    around = Surroundings(
        seconds_since_last=await _since_last(ground, cluster),
        free_bytes=await asyncio.to_thread(_free_bytes, situation.primary),
        fences=tuple(one.name for one in ladder.rungs),
        fence_problems=ladder.problems,
        manager=ground.manager_of(cluster.name),
    )
    decision = decide(situation, asked, ground.failover_of(cluster.name), around)
    decision = _across_sites(ground, situation, decision) if asked.is_automatic else decision
    return Survey(situation=situation, decision=decision, ladder=ladder)


def _across_sites(ground: FailoverGround, situation: Situation, decision: Decision) -> Decision:
    """Nobody is promoted at another site by itself, unless a third one sees both."""
    plan, best = ground.settings.of(situation.cluster.name).disaster, decision.ranked.best
    if plan is None or best is None:
        return decision
    heard = situation.weighing.contacts if situation.weighing is not None else {}
    reason = witness_reason(plan, situation.primary.name, best.name, heard)
    return decision if reason is None else replace(decision, reasons=(*decision.reasons, reason))


def refuse(found: Survey) -> None:
    """Raises: FailoverRefused with every reason against it, where there is one."""
    against = found.decision.against
    if not against:
        return
    words = "; ".join(f"{one.rule}: {one.value} (wanted: {one.limit})" for one in against)
    raise FailoverRefused(
        f"{found.situation.primary.name} is not failed over: {words}",
        hint=against[0].remedy,
        context={"primary": found.situation.primary.name, "rules": [one.rule for one in against]},
    )


async def _since_last(ground: FailoverGround, cluster: Cluster) -> float | None:
    """Seconds since the last failover that did something to a server, by the wall clock, which is all that is stored."""
    if ground.store is None:
        return None
    found: list[OperationRecord] = []
    async with ground.store.read() as connection:
        for kind in KINDS:  # one by one: drills and rehearsals of the cluster may be many
            wanted = OperationFilter(kind=kind, target=f"cluster/{cluster.name}", states=_DONE, limit=_NEWEST)
            found += await list_operations(connection, wanted, may_see=lambda _: True)
    ended = [one.ended_at or one.started_at or one.created_at for one in found if _has_acted(one)]
    return max(0.0, (ground.clock.now() - max(ended)).total_seconds()) if ended else None


def _has_acted(record: OperationRecord) -> bool:
    """One that failed before its fence has touched nothing; one whose fence failed has, and is not tried again by itself."""
    return record.state is not OperationState.FAILED or (record.error or {}).get("code") == FenceFailed.code


def _free_bytes(instance: Instance) -> int | None:
    """The least room of the file systems where a server of this machine keeps its data and its log."""
    directory = instance.control.data_directory if instance.control is not None else None
    if directory is None or not directory.is_dir():
        return None
    found = []
    for one in (directory, directory / "pg_wal"):
        if one.is_dir():
            status = os.statvfs(one)
            found.append(status.f_bavail * status.f_frsize)
    return min(found)
