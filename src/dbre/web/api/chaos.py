"""Experiments: what was run, reports, scores, and the switch that ends them all."""

from typing import Annotated

from fastapi import APIRouter, Query

from dbre.capabilities.chaos.runs.reading import score_document
from dbre.capabilities.chaos.runs.report import run_row
from dbre.capabilities.chaos.switching.switch import Switch, read_switch
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.chaos_items import ReportItem, RunItem, ScoreItem, SwitchChange, SwitchItem
from dbre.web.api.listing import Listing, listing
from dbre.web.chaos import report_for, runs_for, score_for, scores_for, turn_switch
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(
    prefix="/chaos",
    tags=["chaos"],
    dependencies=[ApiAccess],
    responses={code: ERRORS[code] for code in (401, 403, 422, 503)},
)


@router.get("/runs")
async def list_chaos_runs(
    wired: Wired,
    principal: ApiPrincipal,
    cluster: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Listing[RunItem]:
    """Experiments that were run on clusters that you may see, the newest first."""
    found = await runs_for(wired, principal, cluster=cluster, limit=limit)
    return listing("ChaosRunList", [RunItem.model_validate(run_row(one)) for one in found], wired.clock)


@router.get("/runs/{run}", responses={404: ERRORS[404]})
async def show_chaos_run(run: str, wired: Wired, principal: ApiPrincipal) -> ReportItem:
    """The resilience report of one run, by its id or the beginning or end of it."""
    return ReportItem.model_validate(await report_for(wired, principal, run))


@router.get("/scores")
async def list_chaos_scores(wired: Wired, principal: ApiPrincipal) -> Listing[ScoreItem]:
    """How well each cluster that you may see stands faults, the lowest first."""
    items = [ScoreItem.model_validate(score_document(one)) for one in await scores_for(wired, principal)]
    return listing("ChaosScoreList", items, wired.clock)


@router.get("/scores/{cluster}", responses={404: ERRORS[404]})
async def show_chaos_score(cluster: str, wired: Wired, principal: ApiPrincipal) -> ScoreItem:
    """The score of one cluster over the required catalogue."""
    return ScoreItem.model_validate(score_document(await score_for(wired, principal, cluster)))


@router.get("/switch")
async def show_chaos_switch(wired: Wired, _principal: ApiPrincipal) -> SwitchItem:
    """Whether experiments may begin."""
    return _item(await read_switch(wired.store))


@router.post("/stop", responses={400: ERRORS[400]})
async def stop_chaos(wired: Wired, principal: ApiPrincipal, change: SwitchChange) -> SwitchItem:
    """End every experiment everywhere, and let none begin; for whoever may operate."""
    return _item(await turn_switch(wired, principal, change.reason, is_closed=True))


@router.post("/open", responses={400: ERRORS[400]})
async def open_chaos(wired: Wired, principal: ApiPrincipal, change: SwitchChange) -> SwitchItem:
    """Let experiments begin again; for administrators."""
    return _item(await turn_switch(wired, principal, change.reason, is_closed=False))


def _item(switch: Switch) -> SwitchItem:
    return SwitchItem.model_validate({**switch.document(), "words": switch.words})
