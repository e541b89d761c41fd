"""The JSON API, version 1, with the endpoints that machines ask beside it."""

from fastapi import APIRouter

from dbre.web.api import events, fleet, health, slo

__all__ = ["router"]

router = APIRouter()
router.include_router(health.router)
for _part in (fleet, slo, events):
    router.include_router(_part.router, prefix="/api/v1")
