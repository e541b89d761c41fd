"""Backups: every cluster at a glance, the recovery map of one, one drill."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.web.access import PagePrincipal, Wired
from dbre.web.backups import drill_of, overview_of, overviews
from dbre.web.recovery_map import recovery_map
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/backups")
async def backups_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """Every cluster, those that nobody proved first; a request by htmx gets the table alone."""
    template = "_backups_table.html" if "hx-request" in request.headers else "backups.html"
    found = await overviews(wired, principal)
    values = {
        "now": wired.clock.now(),
        "backups": [one for one in found if one.policy is not None or one.sets],
        "without": [one.cluster.name for one in found if one.policy is None and not one.sets],
        "exposure": wired.backups.exposure_seconds,
    }
    page = HTMLResponse(render(request, template, title="Backups", **values))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/backups/{cluster}")
async def backup_page(cluster: str, request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """The recovery map of one cluster with its sets, gaps and drills."""
    found, now = await overview_of(wired, principal, cluster), wired.clock.now()
    values = {
        "found": found,
        "now": now,
        "map": recovery_map(found, now=now),
        "exposure_seconds": wired.backups.exposure_seconds(cluster),
    }
    return HTMLResponse(render(request, "backup.html", title=f"Backups of {found.cluster.name}", **values))


@router.get("/drills/{drill}")
async def drill_page(drill: str, request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """What one drill proved, phase by phase and check by check."""
    found = await drill_of(wired, principal, drill)
    return HTMLResponse(render(request, "drill.html", title=f"Drill of {found.cluster}", drill=found))
