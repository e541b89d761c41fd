"""High availability: the topology of each cluster, live."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.web.access import PagePrincipal, Wired
from dbre.web.templates import render
from dbre.web.topology import glances, seen_forecast, seen_sweep, tree_of

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/ha")
async def ha_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """Every cluster at a glance, those that something is wrong with first; a request by htmx gets the table alone."""
    template = "_ha_table.html" if "hx-request" in request.headers else "ha.html"
    page = HTMLResponse(render(request, template, title="High availability", glances=await glances(wired, principal)))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/ha/{cluster}")
async def ha_cluster_page(cluster: str, request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """Who follows whom in one cluster, how far behind, and what is wrong; a request by htmx gets that alone."""
    found = await seen_sweep(wired, principal, cluster)
    template = "_topology.html" if "hx-request" in request.headers else "topology.html"
    following = await seen_forecast(wired, principal, cluster)
    values = {"cluster": cluster, "sweep": found, "tree": tree_of(found), "following": following}
    page = HTMLResponse(render(request, template, title=f"Topology of {cluster}", **values))
    page.headers["Vary"] = "HX-Request"
    return page
