"""The first page: every cluster, worst first; and one cluster."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.observe import EndpointState
from dbre.capabilities.slo import SloStatus, worst_first
from dbre.core.events import recent
from dbre.core.fleet import Cluster
from dbre.web.access import PageAccess, Wired
from dbre.web.api.slo import ClusterName
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_RECENT_EVENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClusterRow:
    cluster: Cluster
    statuses: Sequence[SloStatus]  # worst first
    endpoints: Sequence[EndpointState]

    @property
    def worst(self) -> SloStatus | None:
        return self.statuses[0] if self.statuses else None


@router.get("/")
async def fleet_page(request: Request, wired: Wired, _session: PageAccess) -> Response:
    """All clusters, worst first; a request by htmx gets the table alone."""
    template = "_fleet_table.html" if "hx-request" in request.headers else "fleet.html"
    page = HTMLResponse(render(request, template, title="Fleet", rows=await _rows(wired)))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/clusters/{name}")
async def cluster_page(request: Request, wired: Wired, _session: PageAccess, name: ClusterName) -> Response:
    """One cluster: endpoints, instances, SLOs, what happened."""
    row = next((one for one in await _rows(wired) if one.cluster.name == name), None)
    if row is None:
        raise NotFound(f"the inventory has no cluster {name!r}", hint="dbre fleet list names them")
    async with wired.store.read() as connection:
        subjects = [name, *(f"{name}/{one.purpose}" for one in row.cluster.endpoints), *(one.id for one in row.statuses)]
        found = [event for subject in subjects for event in await recent(connection, limit=_RECENT_EVENTS, subject=subject)]
    events = sorted(found, key=lambda one: one.sequence, reverse=True)[:_RECENT_EVENTS]
    return HTMLResponse(render(request, "cluster.html", title=name, row=row, events=events))


async def _rows(wired: Services) -> list[_ClusterRow]:
    ranked = worst_first(await wired.slo_status())
    statuses, endpoints = defaultdict[str, list[SloStatus]](list), defaultdict[str, list[EndpointState]](list)
    for status in ranked:
        statuses[status.cluster].append(status)
    for state in wired.endpoints():
        endpoints[state.cluster].append(state)
    rows = [
        _ClusterRow(cluster=cluster, statuses=statuses[cluster.name], endpoints=endpoints[cluster.name])
        for cluster in wired.fleet.clusters
    ]
    rank = {status.id: position for position, status in enumerate(ranked)}
    return sorted(rows, key=lambda row: rank[row.worst.id] if row.worst else len(rank))
