"""The support matrix: what dbre can ask of which engine."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from dbre.core.errors import Unsupported
from dbre.ports.engine import Feature
from dbre.web.access import PageAccess, Wired
from dbre.web.services import Services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineBlock:
    name: str
    missing: str | None  # why it cannot be used here
    features: tuple[Feature, ...] = ()


@router.get("/support")
async def engines_page(request: Request, wired: Wired, _session: PageAccess) -> Response:
    """Every engine, and each feature with the versions and the privilege that it needs."""
    blocks = [_block(wired, name) for name in wired.engines.names()]
    return HTMLResponse(render(request, "engines.html", title="Engines", blocks=blocks))


def _block(wired: Services, name: str) -> _EngineBlock:
    try:
        return _EngineBlock(name=name, missing=None, features=tuple(wired.engines.get(name).features()))
    except Unsupported as error:
        return _EngineBlock(name=name, missing=f"{error.message}; {error.hint}")
