"""Key figures: how fast failures end, how well changes go, whether SLOs held, and what work could be saved."""

from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.web.access import PagePrincipal, Wired
from dbre.web.reports import last_days
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_CANDIDATES = 10


@router.get("/reports")
async def reports_page(
    request: Request, wired: Wired, principal: PagePrincipal, days: Literal["7", "30", "90", "365"] = "30"
) -> Response:
    """The numbers of the last days beside those of as many days before."""
    rollup = await wired.reports.rollup(last_days(wired, principal, int(days)))
    values = {"rollup": rollup, "days": days, "candidates": rollup.toil.candidates[:_CANDIDATES]}
    return HTMLResponse(render(request, "reports.html", title="Reports", **values))
