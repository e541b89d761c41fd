"""The first page: every cluster, worst first; and one cluster."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.incident.repository import list_incidents
from dbre.capabilities.incident.states import OPEN
from dbre.capabilities.observe import EndpointState
from dbre.capabilities.slo import SloStatus, worst_first
from dbre.core.events import recent
from dbre.core.fleet import Cluster
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.states import FINAL, OperationState
from dbre.web.access import PagePrincipal, Wired
from dbre.web.api.slo import ClusterName
from dbre.web.attention import OpenOperations
from dbre.web.incidents import seen_incidents
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters, seen_statuses
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_RECENT_EVENTS = 20
_OPEN = tuple(state for state in OperationState if state not in FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClusterRow:
    cluster: Cluster
    statuses: Sequence[SloStatus]  # worst first
    endpoints: Sequence[EndpointState]
    operations: OpenOperations | None  # None: the store does not answer now

    @property
    def worst(self) -> SloStatus | None:
        return self.statuses[0] if self.statuses else None


@router.get("/")
async def fleet_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """All clusters, worst first; a request by htmx gets the table alone."""
    template = "_fleet_table.html" if "hx-request" in request.headers else "fleet.html"
    page = HTMLResponse(render(request, template, title="Fleet", rows=await _rows(wired, principal)))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/clusters/{name}")
async def cluster_page(request: Request, wired: Wired, principal: PagePrincipal, name: ClusterName) -> Response:
    """One cluster: endpoints, instances, SLOs, incidents that go on, operations under way, what happened."""
    row = next((one for one in await _rows(wired, principal) if one.cluster.name == name), None)
    if row is None:
        raise NotFound(f"the inventory has no cluster {name!r}", hint="dbre fleet list names them")
    async with wired.store.read() as connection:
        subjects = [name, *(f"{name}/{one.purpose}" for one in row.cluster.endpoints), *(one.id for one in row.statuses)]
        incidents = await list_incidents(connection, states=sorted(OPEN), cluster=name)
        found = [event for subject in subjects for event in await recent(connection, limit=_RECENT_EVENTS, subject=subject)]
    events = sorted(found, key=lambda one: one.sequence, reverse=True)[:_RECENT_EVENTS]
    wanted = OperationFilter(states=_OPEN, target=f"cluster/{name}", limit=_RECENT_EVENTS)
    under_way = await wired.desk(principal).list(wanted)
    values = {"row": row, "events": events, "operations": under_way, "incidents": seen_incidents(wired, principal, incidents)}
    return HTMLResponse(render(request, "cluster.html", title=name, **values))


async def _rows(wired: Services, principal: Principal) -> list[_ClusterRow]:
    clusters = seen_clusters(wired, principal)
    ranked = worst_first(seen_statuses(wired, principal, await wired.slo_status()))
    statuses, endpoints = defaultdict[str, list[SloStatus]](list), defaultdict[str, list[EndpointState]](list)
    for status in ranked:
        statuses[status.cluster].append(status)
    for state in wired.endpoints():
        endpoints[state.cluster].append(state)
    under_way = await wired.attention.by_cluster(principal)
    rows = [
        _ClusterRow(
            cluster=cluster,
            statuses=statuses[cluster.name],
            endpoints=endpoints[cluster.name],
            operations=under_way.get(cluster.name, OpenOperations()) if under_way is not None else None,
        )
        for cluster in clusters
    ]
    rank = {status.id: position for position, status in enumerate(ranked)}
    return sorted(rows, key=lambda row: rank[row.worst.id] if row.worst else len(rank))
