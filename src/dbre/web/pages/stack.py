"""The services that are checked beside the databases, the worst first."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.web.access import PagePrincipal, Wired
from dbre.web.stack import checked_services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/stack")
async def stack_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """The latest check of each service; a request by htmx gets the table alone."""
    template = "_stack_table.html" if "hx-request" in request.headers else "stack.html"
    values = {"services": checked_services(wired, principal), "now": wired.clock.now()}
    page = HTMLResponse(render(request, template, title="Stack", **values))
    page.headers["Vary"] = "HX-Request"
    return page
