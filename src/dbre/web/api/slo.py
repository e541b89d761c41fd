"""SLOs: objectives, budgets, burn rates, alerts."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from dbre.capabilities.slo import SloStatus, burn_down, recent_alerts, worst_first
from dbre.web.access import ApiAccess, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.api.slo_items import AlertItem, BurnDownItem, SloItem, alert_item, burn_down_item, slo_item
from dbre.web.problems import ERRORS, NotFound
from dbre.web.services import Services

__all__ = ["router", "status_of"]

router = APIRouter(tags=["slo"], dependencies=[ApiAccess], responses={401: ERRORS[401], 503: ERRORS[503]})
_NAMED: dict[int | str, dict[str, Any]] = {404: ERRORS[404], 422: ERRORS[422]}

Name = Annotated[str, Path(max_length=200, description="Name of the SLO.")]
ClusterName = Annotated[str, Path(max_length=200, description="Name of the cluster.")]


@router.get("/slos")
async def list_slos(wired: Wired) -> Listing[SloItem]:
    """Every SLO on every cluster that it selects, worst first."""
    statuses = worst_first(await wired.slo_status())
    return listing("SloStatusList", [slo_item(one) for one in statuses], wired.clock)


@router.get("/slos/{name}/{cluster}", responses=_NAMED)
async def show_slo(wired: Wired, name: Name, cluster: ClusterName) -> SloItem:
    """One SLO on one cluster."""
    return slo_item(await status_of(wired, name, cluster))


@router.get("/slos/{name}/{cluster}/burn-down", responses=_NAMED)
async def show_burn_down(
    wired: Wired,
    name: Name,
    cluster: ClusterName,
    limit: Annotated[int, Query(ge=2, le=2000, description="At most this many points; extremes survive.")] = 500,
) -> BurnDownItem:
    """The budget that was left over time, in the present window."""
    await status_of(wired, name, cluster)
    series = await burn_down(
        wired.store, wired.definitions, wired.fleet, wired.clock.now(), slo=name, cluster=cluster, limit=limit
    )
    return burn_down_item(series)


@router.get("/alerts", responses={422: ERRORS[422]})
async def list_alerts(
    wired: Wired,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many, newest first.")] = 100,
) -> Listing[AlertItem]:
    """Alerts that fired, newest first; those that are not over have no ``resolved_at``."""
    found = await recent_alerts(wired.store, limit=limit)
    return listing("AlertList", [alert_item(one) for one in found], wired.clock)


async def status_of(wired: Services, name: str, cluster: str) -> SloStatus:
    """The status of one SLO instance. Raises: NotFound."""
    for one in await wired.slo_status():
        if (one.name, one.cluster) == (name, cluster):
            return one
    raise NotFound(f"there is no SLO {name!r} on cluster {cluster!r}", hint="dbre slo list names them")
