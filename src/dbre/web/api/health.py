"""Liveness, readiness and metrics: what a load balancer, an init system and Prometheus ask."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel

from dbre.web.access import Wired, metrics_access
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process is alive."""

    status: str


class ReadinessPart(BaseModel):
    """One part of the control plane."""

    part: str
    is_ready: bool
    detail: str


class ReadinessReport(BaseModel):
    """All parts; the answer is 200 only if each is ready."""

    is_ready: bool
    parts: list[ReadinessPart]


@router.get("/healthz")
async def healthz() -> Health:
    """The process is alive and its event loop turns."""
    return Health(status="ok")


_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ReadinessReport, "description": "At least one part is not ready."}
}


@router.get("/readyz", responses=_NOT_READY)
async def readyz(wired: Wired, response: Response) -> ReadinessReport:
    """The store takes writes, the prober runs, SLOs are evaluated, events are delivered."""
    parts = [ReadinessPart(part=one.part, is_ready=one.is_ready, detail=one.detail) for one in await wired.readiness()]
    report = ReadinessReport(is_ready=all(one.is_ready for one in parts), parts=parts)
    response.status_code = 200 if report.is_ready else 503
    return report


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        }
    },
    **{code: ERRORS[code] for code in (401, 403, 429)},
}


@router.get("/metrics", response_class=Response, responses=_TEXT, dependencies=[Depends(metrics_access)])
async def metrics(wired: Wired, accept: Annotated[str, Header(max_length=1000)] = "") -> Response:
    """Metrics of the fleet and of dbre itself, from memory; Prometheus text or OpenMetrics by ``Accept``."""
    body, content_type = wired.metrics(accept)
    return Response(body, headers={"Content-Type": content_type})
