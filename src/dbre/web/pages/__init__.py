"""HTML pages: each is a template and a function that reads what it shows."""

from fastapi import APIRouter

from dbre.web.pages import (
    audit,
    backups,
    chaos,
    engines,
    events,
    fleet,
    gates,
    ha,
    incident_actions,
    incidents,
    login,
    oncall,
    operations,
    reports,
    schedules,
    slo,
    stack,
)

__all__ = ["router"]

router = APIRouter()
for _page in (
    login,
    fleet,
    slo,
    incidents,
    incident_actions,
    oncall,
    reports,
    backups,
    ha,
    chaos,
    operations,
    gates,
    schedules,
    stack,
    audit,
    events,
    engines,
):
    router.include_router(_page.router)
