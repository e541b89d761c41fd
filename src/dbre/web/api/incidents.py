"""Incidents, deploys, who is on call, and the hook for Alertmanagers."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dbre.capabilities.incident.costs import costs_of
from dbre.capabilities.incident.deploys import record_deploy
from dbre.capabilities.incident.desk import IncidentDesk
from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident
from dbre.capabilities.incident.oncall.override_repository import overrides_of
from dbre.capabilities.incident.oncall.shifts import on_call_at
from dbre.capabilities.incident.postmortem.repository import Revision
from dbre.capabilities.incident.repository import incident_named, list_incidents
from dbre.capabilities.incident.rows import action_row, alert_row, cost_row, entry_row, incident_row
from dbre.capabilities.incident.states import OPEN
from dbre.core.identity.model import Principal
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.events import EventItem, event_item
from dbre.web.api.incident_items import (
    DeployBody,
    DutyItem,
    HeardItem,
    IncidentDetailItem,
    IncidentItem,
    MoveBody,
    NoteBody,
    PostmortemItem,
)
from dbre.web.api.listing import Listing, listing
from dbre.web.incident_dossier import dossier_of
from dbre.web.incidents import IncidentName, incident_state, seen_incidents, shown_incident
from dbre.web.problems import ERRORS, NotFound
from dbre.web.services import Services

__all__ = ["hooks", "router"]

router = APIRouter(tags=["incidents"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})
hooks = APIRouter(tags=["hooks"], responses={code: ERRORS[code] for code in (400, 403, 404, 503)})
_SLACK = {401: "Not signed by Slack, or sent again.", 413: "Larger than 256 KiB."}
_NAMED: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (400, 404, 409, 422)}


@router.get("/incidents", responses={422: ERRORS[422]})
async def list_all(
    wired: Wired,
    principal: ApiPrincipal,
    is_open: Annotated[bool, Query(description="Only those that go on.")] = False,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many, newest first.")] = 100,
) -> Listing[IncidentItem]:
    """Incidents that you may see, newest first."""
    async with wired.store.read() as connection:
        found = await list_incidents(connection, states=sorted(OPEN) if is_open else (), limit=limit)
        costs = await costs_of(connection, [one.id for one in found])
    items = [_item(wired, one, costs.get(one.id, ())) for one in seen_incidents(wired, principal, found)]
    return listing("IncidentList", items, wired.clock)


@router.get("/incidents/{name}", responses=_NAMED)
async def show(wired: Wired, principal: ApiPrincipal, name: IncidentName) -> IncidentDetailItem:
    """One incident with its alerts, its timeline, what it cost and what follows."""
    known, now = await dossier_of(wired, principal, name), wired.clock.now()
    rows = {
        "alerts": [alert_row(one) for one in known.alerts],
        "timeline": [entry_row(one) for one in known.timeline],
        "costs": None if known.costs is None else [cost_row(one) for one in known.costs],
        "actions": [action_row(one, now=now) for one in known.actions],
        "postmortem_required": list(known.reasons),
        "postmortem": None if known.postmortem is None else _revision(known.postmortem),
    }
    return IncidentDetailItem.model_validate({**incident_row(known.incident, now=now, costs=known.costs or ()), **rows})


@router.post("/incidents/{name}/acknowledge", responses=_NAMED)
async def acknowledge(wired: Wired, principal: ApiPrincipal, name: IncidentName) -> IncidentItem:
    """Take it in hand."""
    return _item(wired, await _desk(wired, principal).acknowledge(await _seen(wired, principal, name)))


@router.post("/incidents/{name}/move", responses=_NAMED)
async def move(wired: Wired, principal: ApiPrincipal, name: IncidentName, body: MoveBody) -> IncidentItem:
    """Go on to another state."""
    seen = await _seen(wired, principal, name)
    return _item(wired, await _desk(wired, principal).move(seen, incident_state(body.state), text=body.text))


@router.post("/incidents/{name}/note", responses=_NAMED)
async def note(wired: Wired, principal: ApiPrincipal, name: IncidentName, body: NoteBody) -> IncidentItem:
    """Write a line into the timeline."""
    return _item(wired, await _desk(wired, principal).note(await _seen(wired, principal, name), body.text))


@router.post("/deploys", status_code=201, responses={code: ERRORS[code] for code in (400, 422)})
async def tell_of_deploy(wired: Wired, principal: ApiPrincipal, body: DeployBody) -> EventItem:
    """Say that something was deployed just now, so that timelines and statistics know it."""
    event = await record_deploy(wired.store, wired.fleet, wired.clock, principal, **body.model_dump())
    return event_item(event)


@router.get("/oncall")
async def on_call(wired: Wired) -> Listing[DutyItem]:
    """Who is on call now, by schedule."""
    now = wired.clock.now()
    async with wired.store.read() as connection:
        overrides = await overrides_of(connection, ending_after=now)
    items = []
    for name, schedule in wired.people.directory.schedules.items():
        shift = on_call_at(schedule, now, overrides=[one for one in overrides if one.schedule == name])
        until, source = (shift.ends_at, shift.source) if shift else (None, None)
        items.append(DutyItem(schedule=name, person=shift.person if shift else None, until=until, source=source))
    return listing("DutyList", items, wired.clock)


@hooks.post("/hooks/alertmanager")
async def hear_alertmanager(wired: Wired, request: Request) -> HeardItem:
    """Take a webhook of an Alertmanager, with the token of ``oncall.alertmanager_webhook`` as bearer; it may come again."""
    if wired.people.alertmanager is None:
        raise NotFound("no Alertmanager may tell us anything", hint="configure oncall.alertmanager_webhook")
    heard = await wired.people.alertmanager.handle(await request.body(), {k.lower(): v for k, v in request.headers.items()})
    return HeardItem(fired=heard.fired, resolved=heard.resolved, known=heard.known)


@hooks.post("/hooks/slack", responses={code: {"description": text} for code, text in _SLACK.items()})
async def answer_slack(wired: Wired, request: Request) -> Response:
    """Take a slash command or a pressed button of the Slack app of ``incidents.chat.slack``, signed by Slack."""
    if wired.people.slack is None:
        raise NotFound("no Slack app is configured", hint="configure incidents.chat.slack")
    reply = await wired.people.slack.handle(await request.body(), request.headers)
    return Response(reply.body, status_code=reply.status, media_type=reply.content_type)


def _item(wired: Services, one: Incident, costs: Sequence[Spent] = ()) -> IncidentItem:
    return IncidentItem.model_validate(incident_row(one, now=wired.clock.now(), costs=costs))


def _revision(one: Revision) -> PostmortemItem:
    return PostmortemItem(**{name: getattr(one, name) for name in PostmortemItem.model_fields})


def _desk(wired: Services, principal: Principal) -> IncidentDesk:
    return IncidentDesk(wired.store, wired.fleet, wired.clock, principal)


async def _seen(wired: Services, principal: Principal, name: str) -> str:
    async with wired.store.read() as connection:
        return shown_incident(wired, principal, await incident_named(connection, name)).name
