"""SLOs: objectives, budgets, burn rates, alerts."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from dbre.capabilities.slo import SloStatus, burn_down, recent_alerts, worst_first
from dbre.core.identity.model import Principal
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.api.slo_items import AlertItem, BurnDownItem, SloItem, alert_item, burn_down_item, slo_item
from dbre.web.problems import ERRORS, NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters, seen_statuses

__all__ = ["router", "status_of"]

router = APIRouter(tags=["slo"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})
_NAMED: dict[int | str, dict[str, Any]] = {404: ERRORS[404], 422: ERRORS[422]}

Name = Annotated[str, Path(max_length=200, description="Name of the SLO.")]
ClusterName = Annotated[str, Path(max_length=200, description="Name of the cluster.")]
Group = Annotated[str, Query(max_length=200, description="One group of a grouped SLO; empty: all together.")]


@router.get("/slos")
async def list_slos(wired: Wired, principal: ApiPrincipal) -> Listing[SloItem]:
    """Every SLO on every cluster that it selects and that you may see, worst first."""
    statuses = worst_first(seen_statuses(wired, principal, await wired.slo_status()))
    return listing("SloStatusList", [slo_item(one) for one in statuses], wired.clock)


@router.get("/slos/{name}/{cluster}", responses=_NAMED)
async def show_slo(wired: Wired, principal: ApiPrincipal, name: Name, cluster: ClusterName, group: Group = "") -> SloItem:
    """One SLO on one cluster."""
    return slo_item(await status_of(wired, principal, name, cluster, group))


@router.get("/slos/{name}/{cluster}/burn-down", responses=_NAMED)
async def show_burn_down(
    wired: Wired,
    principal: ApiPrincipal,
    name: Name,
    cluster: ClusterName,
    group: Group = "",
    limit: Annotated[int, Query(ge=2, le=2000, description="At most this many points; extremes survive.")] = 500,
) -> BurnDownItem:
    """The budget that was left over time, in the present window."""
    await status_of(wired, principal, name, cluster, group)
    series = await burn_down(
        wired.store, wired.definitions, wired.fleet, wired.clock.now(), slo=name, cluster=cluster, group=group, limit=limit
    )
    return burn_down_item(series)


@router.get("/alerts", responses={422: ERRORS[422]})
async def list_alerts(
    wired: Wired,
    principal: ApiPrincipal,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many, newest first.")] = 100,
) -> Listing[AlertItem]:
    """Alerts that fired, newest first; those that are not over have no ``resolved_at``."""
    names = {one.name for one in seen_clusters(wired, principal)}
    found = await recent_alerts(wired.store, limit=limit)
    return listing("AlertList", [alert_item(one) for one in found if one.cluster in names], wired.clock)


async def status_of(wired: Services, principal: Principal, name: str, cluster: str, group: str = "") -> SloStatus:
    """The status of one SLO instance. Raises: NotFound, also for one that the principal may not see."""
    for one in seen_statuses(wired, principal, await wired.slo_status()):
        if (one.name, one.cluster, one.group) == (name, cluster, group):
            return one
    what = f"group {group!r} of SLO {name!r}" if group else f"SLO {name!r}"
    raise NotFound(f"there is no {what} on cluster {cluster!r}", hint="dbre slo list names them")
