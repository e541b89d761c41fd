"""Experiments: how well each cluster stands faults, what was run, and the report of each run."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dbre.capabilities.chaos.runs.report import run_row
from dbre.capabilities.chaos.runs.writing import sections_of
from dbre.capabilities.chaos.switching.switch import read_switch
from dbre.core.identity.model import Permission
from dbre.web.access import FormPrincipal, PagePrincipal, Wired
from dbre.web.chaos import report_for, runs_for, scores_for, turn_switch
from dbre.web.problems import NotFound
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_RUNS = 50


@router.get("/chaos")
async def chaos_page(request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """Scores, runs, and the switch."""
    runs = await runs_for(wired, principal, cluster=None, limit=_RUNS)
    values = {
        "scores": await scores_for(wired, principal),
        "runs": [run_row(one) for one in runs],
        "switch": await read_switch(wired.store),
        "may_stop": principal.may(Permission.OPERATE),
        "may_open": principal.may(Permission.ADMINISTER, {}),
    }
    return HTMLResponse(render(request, "chaos.html", title="Chaos", **values))


@router.get("/chaos/{run}")
async def run_page(run: str, request: Request, wired: Wired, principal: PagePrincipal) -> Response:
    """The resilience report of one run."""
    report = await report_for(wired, principal, run)
    values = {"report": report, "sections": sections_of(report)}
    return HTMLResponse(render(request, "chaos_run.html", title=str(report["title"]), **values))


@router.post("/chaos/{action}")
async def act(
    wired: Wired, principal: FormPrincipal, action: str, reason: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Do what one of the page's forms asks."""
    if action not in ("stop", "open"):
        raise NotFound(f"nothing of experiments is called {action!r}")
    await turn_switch(wired, principal, reason, is_closed=action == "stop")
    return RedirectResponse("/chaos", status_code=303)
