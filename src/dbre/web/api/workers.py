"""Who runs operations."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from dbre.core.operation.workers import workers, zones
from dbre.web.access import ApiAccess, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(tags=["workers"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})


class WorkerItem(BaseModel):
    """One worker of the last day."""

    id: str
    host: str
    pid: int
    zone: str | None
    version: str
    started_at: datetime
    heartbeat_at: datetime
    is_alive: bool
    running_count: int


class ZoneItem(BaseModel):
    """What waits for workers of one zone; null is the zone without a name."""

    zone: str | None
    live_workers: int
    queued_count: int
    running_count: int


@router.get("/workers")
async def list_workers(wired: Wired) -> Listing[WorkerItem]:
    """The workers of the last day by zone and id."""
    async with wired.store.read() as connection:
        found = await workers(connection, wired.operations.leases)
    items = [WorkerItem(**{name: getattr(one, name) for name in WorkerItem.model_fields}) for one in found]
    return listing("WorkerList", items, wired.clock)


@router.get("/zones")
async def list_zones(wired: Wired) -> Listing[ZoneItem]:
    """Every zone that has a live worker or an operation that waits or runs."""
    async with wired.store.read() as connection:
        found = await zones(connection, wired.operations.leases)
    items = [ZoneItem(**{name: getattr(one, name) for name in ZoneItem.model_fields}) for one in found]
    return listing("ZoneList", items, wired.clock)
