"""Who is on call now and next, when nobody is, and which incidents are being escalated."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.capabilities.incident.oncall.escalation import Escalation
from dbre.capabilities.incident.oncall.escalation_repository import running_escalations
from dbre.capabilities.incident.oncall.override_repository import overrides_of
from dbre.capabilities.incident.oncall.shifts import Gap, Override, Schedule, Shift, gaps, on_call_at, shifts
from dbre.core.clock import Clock
from dbre.web.access import PagePrincipal, Wired
from dbre.web.sight import sees_everything
from dbre.web.templates import render

__all__ = ["Duty", "duties", "router"]

router = APIRouter(include_in_schema=False)
_AHEAD = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One schedule over the next two weeks."""

    schedule: Schedule
    now: Shift | None
    shifts: Sequence[Shift]
    gaps: Sequence[Gap]
    overrides: Sequence[Override]


def duties(schedules: Sequence[Schedule], overrides: Sequence[Override], clock: Clock) -> list[Duty]:
    """Every schedule as it stands."""
    begin = clock.now()
    found = []
    for one in schedules:
        own = [override for override in overrides if override.schedule == one.name]
        found.append(
            Duty(
                schedule=one,
                now=on_call_at(one, begin, overrides=own),
                shifts=shifts(one, begin, begin + _AHEAD, overrides=own),
                gaps=gaps(one, begin, begin + _AHEAD, overrides=own),
                overrides=own,
            )
        )
    return found


@router.get("/oncall")
async def oncall_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """Schedules, and what is being escalated; the latter only for who sees everything."""
    async with wired.store.read() as connection:
        overrides = await overrides_of(connection, ending_after=wired.clock.now())
        running: Sequence[Escalation] = await running_escalations(connection) if sees_everything(wired, principal) else ()
    directory = wired.people.directory
    values = {
        "duties": duties(list(directory.schedules.values()), overrides, wired.clock),
        "unknown": [str(one) for one in directory.unknown()],
        "policies": directory.policies,
        "escalations": running,
    }
    return HTMLResponse(render(request, "oncall.html", title="On call", **values))
