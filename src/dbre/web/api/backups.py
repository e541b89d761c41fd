"""Backups: where one can go back to, what was proved when, what is missing."""

from fastapi import APIRouter

from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.backup_items import BackupDetailItem, BackupItem, DrillItem, GapItem, IntervalItem, SetItem
from dbre.web.api.listing import Listing, listing
from dbre.web.backups import drill_of, overview_of, overviews
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(tags=["backups"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})


@router.get("/backups")
async def list_backups(wired: Wired, principal: ApiPrincipal) -> Listing[BackupItem]:
    """The backups of each cluster at a glance, those that nobody proved first."""
    now, known = wired.clock.now(), wired.backups.exposure_seconds
    found = await overviews(wired, principal)
    items = [BackupItem.of(one, now=now, exposure_seconds=known(one.cluster.name)) for one in found]
    return listing("BackupList", items, wired.clock)


@router.get("/backups/{cluster}", responses={404: ERRORS[404]})
async def show_backups(cluster: str, wired: Wired, principal: ApiPrincipal) -> BackupDetailItem:
    """The backups of one cluster: sets, recovery intervals, gaps, drills."""
    found = await overview_of(wired, principal, cluster)
    seconds = wired.backups.exposure_seconds(cluster)
    head = BackupItem.of(found, now=wired.clock.now(), exposure_seconds=seconds)
    return BackupDetailItem(
        **dict(head),
        sets=[SetItem.of(one) for one in found.sets],
        intervals=[IntervalItem.of(one) for one in found.intervals],
        gaps=[GapItem.of(one) for one in found.gaps],
        drills=[DrillItem.of(one) for one in found.drills],
    )


@router.get("/drills/{drill}", responses={404: ERRORS[404]})
async def show_drill(drill: str, wired: Wired, principal: ApiPrincipal) -> DrillItem:
    """One drill with what each check found."""
    return DrillItem.of(await drill_of(wired, principal, drill))
