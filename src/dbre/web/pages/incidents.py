"""The list of incidents, and one incident with its timeline, its alerts, its diagnosis, what it cost and what follows."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.incident.model import Incident
from dbre.capabilities.incident.repository import list_incidents
from dbre.capabilities.incident.states import OPEN
from dbre.web.access import PagePrincipal, Wired
from dbre.web.incident_dossier import dossier_of
from dbre.web.incidents import IncidentName, seen_incidents
from dbre.web.pages.incident_forms import declaration_form, incident_forms, item_states
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_LISTED = 200
_LINES = 500


@router.get("/incidents")
async def incidents_page(request: Request, wired: Wired, principal: PagePrincipal, state: str = "") -> Response:
    """Incidents, those that go on first; ``state=open`` leaves the others out."""
    async with wired.store.read() as connection:
        found = await list_incidents(connection, states=sorted(OPEN) if state == "open" else (), limit=_LISTED)
    values = {
        "incidents": sorted(seen_incidents(wired, principal, found), key=_by_need),
        "state": state,
        "now": wired.clock.now(),
        "actions": declaration_form(wired, principal),
    }
    template = "_incidents_table.html" if "hx-request" in request.headers else "incidents.html"
    page = HTMLResponse(render(request, template, title="Incidents", **values))
    page.headers["Vary"] = "HX-Request"
    return page


def _by_need(one: Incident) -> tuple[bool, str, int]:
    return not one.is_open, one.severity.value if one.is_open else "", -one.number


@router.get("/incidents/{name}")
async def incident_page(request: Request, wired: Wired, principal: PagePrincipal, name: IncidentName) -> Response:
    """One incident; a request by htmx gets the live part alone."""
    dossier, now = await dossier_of(wired, principal, name), wired.clock.now()
    one = dossier.incident
    values = {
        "dossier": dossier,
        "incident": one,
        "timeline": dossier.timeline[-_LINES:],
        "lines": _LINES,
        "actions": incident_forms(wired, principal, dossier),
        "item_states": item_states(wired, principal, one),
        "now": now,
    }
    template = "_incident.html" if "hx-request" in request.headers else "incident.html"
    page = HTMLResponse(render(request, template, title=f"{one.name}: {one.title}", **values))
    page.headers["Vary"] = "HX-Request"
    return page
