"""The list of SLOs, and one SLO with its burn-down."""

from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.slo import worst_first
from dbre.capabilities.slo.composite import combined
from dbre.web.access import PagePrincipal, Wired
from dbre.web.api.slo import ClusterName, Group, Name, status_of
from dbre.web.pages.slo_charts import burn_down_chart, mark_data, rule_burns, summary_of
from dbre.web.pages.slo_surroundings import surroundings_of
from dbre.web.sight import seen_clusters, seen_statuses
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/slo")
async def slo_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """All SLOs, worst first, and composites of them; a request by htmx gets the tables alone."""
    statuses = worst_first(seen_statuses(wired, principal, await wired.slo_status()))
    composites = combined(wired.composites, statuses, [one.name for one in seen_clusters(wired, principal)])
    template = "_slo_table.html" if "hx-request" in request.headers else "slo_list.html"
    page = HTMLResponse(render(request, template, title="SLOs", statuses=statuses, composites=composites))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/slo/{name}/{cluster}")
async def slo_detail_page(
    request: Request,
    wired: Wired,
    principal: PagePrincipal,
    name: Name,
    cluster: ClusterName,
    group: Group = "",
    graphs: Literal["", "all"] = "",
) -> Response:
    """One SLO on one cluster: objective, budget, burn-down, alert rules with a graph for each that is on its way."""
    status = await status_of(wired, principal, name, cluster, group)
    chart = await burn_down_chart(wired, principal, status)
    values = {
        "status": status,
        "chart": chart,
        "summary": summary_of(status),
        "mark_data": mark_data(chart),
        "burns": await rule_burns(wired, status, show_all=graphs == "all"),
        "around": await surroundings_of(wired, principal, status),
        "graphs": graphs,
    }
    template = "_slo_detail.html" if "hx-request" in request.headers else "slo_detail.html"
    page = HTMLResponse(render(request, template, title=f"{name} on {cluster}", **values))
    page.headers["Vary"] = "HX-Request"
    return page
