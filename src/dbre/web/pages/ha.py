"""High availability: the topology of each cluster, live; its drills, and one drill run by run."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.ha.drills.measures import problems_of
from dbre.web.access import PagePrincipal, Wired
from dbre.web.drill_chart import drill_chart
from dbre.web.drills import disasters_for, drill_for, drill_look, drills_for, work_on
from dbre.web.templates import render
from dbre.web.topology import glances, seen_forecast, seen_sweep, tree_of

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_DRILLS = 20


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
    following = await seen_forecast(wired, principal, cluster)
    values: dict[str, object] = {"cluster": cluster, "sweep": found, "tree": tree_of(found), "following": following}
    template = "_topology.html"
    if "hx-request" not in request.headers:
        template, look = "topology.html", await drill_look(wired, principal, cluster)
        values["drills"] = (await drills_for(wired, principal, cluster))[:_DRILLS]
        values["drill_findings"] = look.findings if look is not None else ()
        values["disasters"] = await disasters_for(wired, principal, cluster)
        values["work"] = await work_on(wired, principal, cluster)
    page = HTMLResponse(render(request, template, title=f"Topology of {cluster}", **values))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/ha/{cluster}/drills/{drill}")
async def ha_drill_page(cluster: str, drill: str, request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """What clients saw of every run of one drill, and what the settings promised."""
    found, look = await drill_for(wired, principal, cluster, drill), await drill_look(wired, principal, cluster)
    now = (
        [one.now for one in look.standings if (one.kind, one.last.run.by) == (found.kind, found.by)] if look is not None else []
    )
    values = {
        "drill": found,
        "runs": [(one, problems_of(one)) for one in found.runs],
        "chart": drill_chart(found),
        "promised_now": next(iter(now), None),
    }
    return HTMLResponse(render(request, "ha_drill.html", title=f"Drill of {cluster}", **values))
