"""What is shown of failovers that were drilled, of plans for the loss of a site, and of work on servers, and to whom."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from dbre.capabilities.ha.disaster import repository as disaster_runs
from dbre.capabilities.ha.disaster.measures import problems_of
from dbre.capabilities.ha.drills.repository import NoSuchDrill, find_drill, list_runs
from dbre.capabilities.ha.drills.standing import DrillLook
from dbre.capabilities.ha.drills.summary import DrillSummary, summaries, summary_of
from dbre.core.fleet import Cluster
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.model import OperationRecord
from dbre.core.text import quoted
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters

__all__ = ["disasters_for", "drill_for", "drill_look", "drills_for", "work_on"]

_PATIENCE_SECONDS = 1.0  # for what Patroni promises now: what is not there by then comes with the next look
_WORK = ("ha.", "upgrade.")  # kinds of operations that change who is primary, or restart servers
_LOOKED_AT, _SHOWN = 100, 10
_PAGES = 5  # a busy cluster has many backups between two changes of its primary


async def drills_for(wired: Services, principal: Principal, name: str) -> list[DrillSummary]:
    """The drills of a cluster, the newest first. Raises: NotFound, also where the principal may not see it."""
    cluster = _seen(wired, principal, name)
    async with wired.store.read() as connection:
        return summaries(await list_runs(connection, cluster=cluster.name))


async def drill_for(wired: Services, principal: Principal, name: str, text: str) -> DrillSummary:
    """One drill of a cluster. Raises: NotFound, also where it is of another cluster."""
    cluster = _seen(wired, principal, name)
    missing = NotFound(f"{cluster.name} has no drill {quoted(text, limit=60)}", hint=f"/ha/{cluster.name} lists them")
    try:
        async with wired.store.read() as connection:
            found = summary_of(await find_drill(connection, text))
    except NoSuchDrill:
        raise missing from None
    if found.cluster != cluster.name:
        raise missing
    return found


async def drill_look(wired: Services, principal: Principal, name: str) -> DrillLook | None:
    """How the drills of a cluster stand now; None: it is still being asked what its settings promise. Raises: NotFound."""
    cluster = _seen(wired, principal, name)
    asking = asyncio.create_task(wired.drills.of(cluster))
    await asyncio.wait([asking], timeout=_PATIENCE_SECONDS)
    if asking.done():
        return asking.result()
    asking.cancel()  # the look itself goes on
    return wired.drills.last(cluster)


async def disasters_for(
    wired: Services, principal: Principal, name: str
) -> list[tuple[disaster_runs.StoredRun, Sequence[str]]]:
    """What was done with the plan for the loss of a site, the newest first, each with what did not hold. Raises: NotFound."""
    cluster = _seen(wired, principal, name)
    async with wired.store.read() as connection:
        found = await disaster_runs.list_runs(connection, cluster=cluster.name, limit=_SHOWN)
    return [(one, problems_of(one.run)) for one in found]


async def work_on(wired: Services, principal: Principal, name: str) -> Sequence[OperationRecord]:
    """The newest operations that changed the primary of a cluster or restarted its servers, or are about to."""
    desk, found = wired.desk(principal), list[OperationRecord]()
    wanted = OperationFilter(target=f"cluster/{_seen(wired, principal, name).name}", limit=_LOOKED_AT)
    for _ in range(_PAGES):
        page = await desk.list(wanted)
        found.extend(one for one in page if one.planned.kind.startswith(_WORK))
        if len(found) >= _SHOWN or len(page) < _LOOKED_AT:
            break
        wanted = replace(wanted, before=page[-1].id)
    return found[:_SHOWN]


def _seen(wired: Services, principal: Principal, name: str) -> Cluster:
    found = next((one for one in seen_clusters(wired, principal) if one.name == name), None)
    if found is None:
        raise NotFound(f"the inventory has no cluster {quoted(name, limit=100)}", hint="dbre fleet list names them")
    return found
