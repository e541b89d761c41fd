"""The services of the stack, as they were checked last."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from dbre.capabilities.stack.rows import check_row
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS
from dbre.web.stack import checked_services

__all__ = ["router"]

router = APIRouter(tags=["stack"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})


class CheckItem(BaseModel):
    """The latest check of one service; ``latency_seconds`` null: there was no answer in time."""

    model_config = ConfigDict(extra="forbid")

    service: str
    kind: str
    url: str
    state: Literal["up", "degraded", "down"]
    detail: str
    version: str | None
    latency_seconds: float | None
    at: datetime
    since: datetime | None


@router.get("/stack")
async def list_services(wired: Wired, principal: ApiPrincipal) -> Listing[CheckItem]:
    """Every service that was checked already, the worst first; for who sees the whole fleet."""
    items = [CheckItem.model_validate(check_row(one)) for one in checked_services(wired, principal)]
    return listing("StackCheckList", items, wired.clock)
