"""Operations that begin by the calendar, and the workers that run operations."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dbre.core.identity.model import Permission
from dbre.core.operation.workers import workers, zones
from dbre.web.access import FormPrincipal, PagePrincipal, Wired
from dbre.web.api.schedules import ScheduleName, run_schedule, schedule_labels, schedule_rows, suspend_schedule
from dbre.web.problems import NotFound
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/schedules")
async def schedules_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """When each comes next, what became of its last slot, and the forms that the user may send."""
    rows = await schedule_rows(wired, principal)
    labels = {one.schedule.name: schedule_labels(wired, one.schedule) for one in rows}
    values = {
        "rows": rows,
        "may_suspend": {name for name, found in labels.items() if principal.may(Permission.ADMINISTER, found)},
        "may_run": {name for name, found in labels.items() if principal.may(Permission.OPERATE, found)},
    }
    return HTMLResponse(render(request, "schedules.html", title="Schedules", **values))


@router.post("/schedules/{name}/{action}")
async def act(wired: Wired, principal: FormPrincipal, name: ScheduleName, action: str) -> Response:
    """Do what one of the page's forms asks."""
    match action:
        case "suspend" | "resume":
            await suspend_schedule(wired, principal, name, is_suspended=action == "suspend")
        case "run":
            record = await run_schedule(wired, principal, name)
            return RedirectResponse(f"/operations/{record.id}", status_code=303)
        case _:
            raise NotFound(f"nothing of a schedule is called {action!r}")
    return RedirectResponse("/schedules", status_code=303)


@router.get("/workers")
async def workers_page(request: Request, wired: Wired, _principal: PagePrincipal) -> Response:
    """Who runs operations, and what waits in which zone."""
    async with wired.store.read() as connection:
        found = await workers(connection, wired.operations.leases)
        waiting = await zones(connection, wired.operations.leases)
    return HTMLResponse(render(request, "workers.html", title="Workers", workers=found, zones=waiting))
