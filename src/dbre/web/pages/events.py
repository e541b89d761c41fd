"""The page of things that happened."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.core.events import recent
from dbre.web.access import PagePrincipal, Wired
from dbre.web.api.events import Before, Kind, Limit, Subject
from dbre.web.sight import seen_events
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/events")
async def events_page(
    request: Request,
    wired: Wired,
    principal: PagePrincipal,
    limit: Limit = 50,
    before: Before = None,
    kind: Kind = None,
    subject: Subject = None,
) -> Response:
    """The newest events, filtered by the URL."""
    async with wired.store.read() as connection:
        found = await recent(connection, limit=limit + 1, before=before, kind=kind or None, subject=subject or None)
    shown, has_more = seen_events(wired, principal, found[:limit]), len(found) > limit
    values = {"events": shown, "limit": limit, "kind": kind or "", "subject": subject or "", "before": before}
    return HTMLResponse(render(request, "events.html", title="Events", has_more=has_more, **values))
