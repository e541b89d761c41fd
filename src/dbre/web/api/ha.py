"""High availability: the live topology of a cluster, and the failovers that were drilled on it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from dbre.capabilities.ha.lag_view import lag_row
from dbre.capabilities.ha.status import status_document
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.drill_items import DrillItem, DrillReportItem
from dbre.web.api.listing import Listing, listing
from dbre.web.drills import drill_for, drills_for
from dbre.web.problems import ERRORS
from dbre.web.topology import seen_forecast, seen_sweep

__all__ = ["router"]

router = APIRouter(tags=["ha"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})


class NodeItem(BaseModel):
    """One server process; null where it did not say."""

    name: str
    address: str
    cluster: str
    contact: str
    error: str | None
    role: str | None
    is_writable: bool | None
    system_id: str | None
    timeline: int | None
    position: str | None


class EdgeItem(BaseModel):
    """One node follows another."""

    downstream: str
    upstream: str | None
    address: str | None
    is_receiving: bool | None
    state: str | None
    sync_state: str | None
    is_confirmed: bool | None


class LagItem(BaseModel):
    """How far a replica is behind, in bytes of log by stage; null is unknown."""

    replica: str
    upstream: str | None
    send_bytes: int | None
    receive_bytes: int | None
    replay_bytes: int | None
    total_bytes: int | None
    transactions: int | None
    seconds: float | None
    seconds_at_most: float | None
    is_caught_up: bool | None


class FindingItem(BaseModel):
    """Something that is wrong, and what to do about it."""

    rule: str
    severity: str
    subject: str
    summary: str
    evidence: dict[str, Any]
    fix: str | None


class CheckItem(BaseModel):
    """One thing that is in the way of a planned change of primary."""

    rule: str
    subject: str
    value: str
    limit: str
    source: str
    remedy: str | None


class NextSwitchoverItem(BaseModel):
    """What a planned change of primary would do now, some seconds old at most."""

    at: datetime
    may_switch: bool
    primary: str | None
    candidate: str | None
    reason: str | None
    by: str
    predicted_seconds: float | None
    measured_at: datetime | None
    predicted_loss_bytes: int | None
    in_the_way: list[CheckItem]
    error: str | None


class TopologyItem(BaseModel):
    """A cluster at one moment, as its own servers tell it."""

    cluster: str
    engine: str
    at: datetime
    primary: str | None
    verdicts: list[str] | None
    action: str | None
    reasons: list[str]
    nodes: list[NodeItem]
    edges: list[EdgeItem]
    lags: list[LagItem]
    findings: list[FindingItem]
    next_switchover: NextSwitchoverItem | None


@router.get("/ha/{cluster}", responses={404: ERRORS[404]})
async def show_topology(cluster: str, wired: Wired, principal: ApiPrincipal) -> TopologyItem:
    """The topology of one cluster, at most two seconds old."""
    found = await seen_sweep(wired, principal, cluster)
    following = await seen_forecast(wired, principal, cluster)
    document = status_document(found.status, found.at, following)
    return TopologyItem.model_validate({**document, "lags": [lag_row(one) for one in found.status.lags]})


@router.get("/ha/{cluster}/drills", responses={code: ERRORS[code] for code in (404, 422)})
async def list_failover_drills(
    cluster: str, wired: Wired, principal: ApiPrincipal, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Listing[DrillItem]:
    """Failovers that were drilled on one cluster, the newest first."""
    found = await drills_for(wired, principal, cluster)
    return listing("DrillList", [DrillItem.of(one) for one in found[:limit]], wired.clock)


@router.get("/ha/{cluster}/drills/{drill}", responses={404: ERRORS[404]})
async def show_failover_drill(cluster: str, drill: str, wired: Wired, principal: ApiPrincipal) -> DrillReportItem:
    """One drill run by run, by its id or the beginning or end of it."""
    return DrillReportItem.of(await drill_for(wired, principal, cluster, drill))
