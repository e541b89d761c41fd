"""What is shown of experiments, and to whom; and the switch that ends them all."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.chaos.runs.model import Run
from dbre.capabilities.chaos.runs.reading import read_report, read_score
from dbre.capabilities.chaos.runs.repository import list_runs
from dbre.capabilities.chaos.runs.score import ClusterScore
from dbre.capabilities.chaos.switching.stopping import end_all
from dbre.capabilities.chaos.switching.switch import Switch, close_switch, open_switch
from dbre.core.identity.model import Principal
from dbre.core.text import quoted
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters

__all__ = ["report_for", "runs_for", "score_for", "scores_for", "turn_switch"]

_MOST = 500


async def runs_for(wired: Services, principal: Principal, *, cluster: str | None, limit: int) -> list[Run]:
    """Runs on clusters that the principal may see, the newest first."""
    names = {one.name for one in seen_clusters(wired, principal)}
    async with wired.store.read() as connection:
        found = await list_runs(connection, cluster=cluster, limit=limit if cluster is not None else _MOST)
    return [one for one in found if one.cluster in names][:limit]


async def report_for(wired: Services, principal: Principal, run: str) -> Mapping[str, Any]:
    """The report of one run. Raises: NoSuchRun; NotFound where the principal may not see its cluster."""
    found = await read_report(wired.chaos, wired.store, run)
    if found["cluster"] not in {one.name for one in seen_clusters(wired, principal)}:
        raise NotFound(f"no experiment {quoted(run, limit=60)} was run", hint="/chaos lists them")
    return found


async def score_for(wired: Services, principal: Principal, cluster: str) -> ClusterScore:
    """The score of one cluster. Raises: NotFound, also where the principal may not see it."""
    if cluster not in {one.name for one in seen_clusters(wired, principal)}:
        raise NotFound(f"there is no cluster {quoted(cluster, limit=100)}", hint="/chaos lists them")
    return await read_score(wired.chaos, wired.store, cluster)


async def scores_for(wired: Services, principal: Principal) -> list[ClusterScore]:
    """The score of every cluster that the principal may see, the lowest first."""
    found = [await read_score(wired.chaos, wired.store, one.name) for one in seen_clusters(wired, principal)]
    return sorted(found, key=lambda one: (one.value, one.cluster))


async def turn_switch(wired: Services, principal: Principal, reason: str, *, is_closed: bool) -> Switch:
    """Stop all experiments, or let them begin again. Raises: Denied, UsageError."""
    if not is_closed:
        return await open_switch(wired.store, wired.clock, principal, reason)
    switch = await close_switch(wired.store, wired.clock, principal, reason)
    await end_all(wired.desk(principal), wired.clock, reason=f"all experiments were stopped: {reason}", limit_seconds=0.0)
    return switch
