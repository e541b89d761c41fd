"""The list of SLOs, and one SLO with its burn-down."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.slo import BurnDown, SloStatus, burn_down, worst_first
from dbre.core.units import format_duration
from dbre.web.access import PageAccess, Wired
from dbre.web.api.slo import ClusterName, Name, status_of
from dbre.web.charts import LineChart, line_chart
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_CHART_POINTS = 400


@router.get("/slo")
async def slo_page(request: Request, wired: Wired, _session: PageAccess) -> Response:
    """All SLOs, worst first; a request by htmx gets the table alone."""
    statuses = worst_first(await wired.slo_status())
    template = "_slo_table.html" if "hx-request" in request.headers else "slo_list.html"
    page = HTMLResponse(render(request, template, title="SLOs", statuses=statuses))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/slo/{name}/{cluster}")
async def slo_detail_page(request: Request, wired: Wired, _session: PageAccess, name: Name, cluster: ClusterName) -> Response:
    """One SLO on one cluster: objective, budget, burn-down, alert rules."""
    status = await status_of(wired, name, cluster)
    series = await burn_down(
        wired.store, wired.definitions, wired.fleet, wired.clock.now(), slo=name, cluster=cluster, limit=_CHART_POINTS
    )
    template = "_slo_detail.html" if "hx-request" in request.headers else "slo_detail.html"
    values = {"status": status, "chart": _chart(series, status), "summary": summary_of(status)}
    page = HTMLResponse(render(request, template, title=f"{name} on {cluster}", **values))
    page.headers["Vary"] = "HX-Request"
    return page


def _chart(series: BurnDown, status: SloStatus) -> LineChart:
    """From the first measurement on: a month of nothing before it would hide the minutes that matter."""
    first = series.points[0].at if series.points else series.start
    start = max(series.start, status.measured_since or first)
    points = [(one.at, float(one.remaining_ratio)) for one in series.points]
    return line_chart(points, start=start, end=min(series.end, status.at.now))


def summary_of(status: SloStatus) -> str:
    """The state in one sentence, for the chart's text alternative and for people in a hurry."""
    left = f"budget {float(status.budget.remaining_ratio):.2%} left"
    recent = next((one for one in status.burn_rates if one.counts.total), None)
    if recent is None:
        return f"{left}; nothing was measured in the last hours"
    seen = f"{recent.counts.bad} of {recent.counts.total} events bad in the last {format_duration(recent.window_seconds)}"
    ending = status.exhaustion.simple_seconds
    return f"{left}, {seen}" + (f"; if that goes on, empty in {format_duration(float(ending))}" if ending is not None else "")
