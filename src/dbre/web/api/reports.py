"""Key figures of a span of days."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from dbre.capabilities.report.metric import metric_row
from dbre.capabilities.report.span import Span
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS
from dbre.web.reports import last_days

__all__ = ["router"]

router = APIRouter(tags=["reports"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403, 503)})


class MetricItem(BaseModel):
    """One number; null is not known, which is not zero."""

    metric: str
    title: str
    unit: str
    value: float | None
    n: int | None
    median: float | None
    p90: float | None
    mean_low: float | None
    mean_high: float | None
    before: float | None
    trend: str | None
    target: float | None
    is_met: bool | None
    note: str


@router.get("/reports", responses={422: ERRORS[422]})
async def key_figures(
    wired: Wired, principal: ApiPrincipal, days: Annotated[int, Query(ge=1, le=366, description="The last so many days.")] = 30
) -> Listing[MetricItem]:
    """The numbers of the last days beside those of as many days before; for who sees the whole fleet."""
    span: Span = last_days(wired, principal, days)
    rows: list[Any] = [metric_row(one) for one in (await wired.reports.rollup(span)).metrics]
    return listing("MetricList", [MetricItem.model_validate(row) for row in rows], wired.clock)
