"""Things that happened."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from dbre.core.events import Event, recent
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS
from dbre.web.sight import seen_events

__all__ = ["Before", "EventItem", "Kind", "Limit", "Subject", "event_item", "router"]

router = APIRouter(
    prefix="/events", tags=["events"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403)}
)

Limit = Annotated[int, Query(ge=1, le=500, description="At most this many, newest first.")]
Before = Annotated[int | None, Query(ge=1, le=2**62, description="Only events with a smaller sequence: the next page.")]
Kind = Annotated[str | None, Query(max_length=100, pattern=r"^[a-z0-9_.*]*$", description="A kind, or an area: slo.*")]
Subject = Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$", description="Exactly this subject.")]


class EventItem(BaseModel):
    """One event; ``data`` depends on the kind, as docs/reference/events.md lists."""

    id: UUID
    sequence: int
    kind: str
    subject: str
    at: datetime
    data: dict[str, Any]


def event_item(event: Event) -> EventItem:
    """From an event to its item."""
    return EventItem(
        id=event.id, sequence=event.sequence, kind=event.kind, subject=event.subject, at=event.at, data=dict(event.data)
    )


@router.get("", responses={422: ERRORS[422], 503: ERRORS[503]})
async def list_events(
    wired: Wired, principal: ApiPrincipal, limit: Limit = 100, before: Before = None, kind: Kind = None, subject: Subject = None
) -> Listing[EventItem]:
    """The newest events, or those before a sequence number."""
    async with wired.store.read() as connection:
        found = await recent(connection, limit=limit, before=before, kind=kind or None, subject=subject or None)
    return listing("EventList", [event_item(one) for one in seen_events(wired, principal, found)], wired.clock)
