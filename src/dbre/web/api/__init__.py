"""The JSON API, version 1, with the endpoints that machines ask beside it."""

from fastapi import APIRouter

from dbre.web.api import (
    audit,
    backups,
    chaos,
    events,
    fleet,
    gates,
    ha,
    health,
    identity,
    incidents,
    operations,
    reports,
    schedules,
    slo,
    stack,
    workers,
)
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter()
router.include_router(health.router)
router.include_router(incidents.hooks)
for _part in (
    fleet,
    slo,
    incidents,
    reports,
    backups,
    ha,
    chaos,
    operations,
    gates,
    schedules,
    workers,
    stack,
    audit,
    events,
    identity,
):
    router.include_router(_part.router, prefix="/api/v1", responses={429: ERRORS[429]})
