"""Who holds what, and why: operations that wait, locked targets, every gate and every window."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from dbre.core.gates.freeze_window import ChangeWindow, FreezeWindow
from dbre.core.gates.supposing import Supposed
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.plan import Risk
from dbre.web.access import PagePrincipal, Wired
from dbre.web.api.gates import decisions_on, visible_held, visible_holders
from dbre.web.services import Services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

Cluster = Annotated[str, Query(max_length=200)]
Kind = Annotated[str, Query(max_length=100)]


@router.get("/gates")
async def gates_page(
    request: Request,
    wired: Wired,
    principal: PagePrincipal,
    cluster: Cluster = "",
    kind: Kind = "",
    risk: Risk = Risk.MODERATE,
) -> Response:
    """What waits and why; with a cluster, what each gate says now of a change that nobody planned."""
    supposed = Supposed(cluster=cluster, kind=kind or "change", risk=risk) if cluster else None
    decisions = await decisions_on(wired, principal, supposed) if supposed else ()
    values = {
        "held": await visible_held(wired, principal),
        "holders": await visible_holders(wired, principal),
        "gates": wired.operations.gates.all(),
        "decisions": {one.gate: one for one in decisions},
        "windows": _windows(wired),
        "clusters": _clusters(wired, principal),
        "cluster": cluster,
        "kind": kind,
        "risk": risk.value,
        "risks": [one.value for one in Risk],
        "kinds": wired.operations.kinds,
    }
    return HTMLResponse(render(request, "gates.html", title="Gates", **values))


def _clusters(wired: Services, principal: Principal) -> list[str]:
    return [one.name for one in wired.fleet.clusters if principal.may(Permission.READ, one.labels)]


def _windows(wired: Services) -> list[dict[str, object]]:
    parts, now = wired.operations, wired.clock.now()
    return [_window("freeze", one, now) for one in parts.freeze_windows] + [
        _window("change", one, now) for one in parts.change_windows
    ]


def _window(word: str, window: FreezeWindow | ChangeWindow, now: datetime) -> dict[str, object]:
    standing = window.calendar.at(now)
    local = standing.until.astimezone(window.calendar.zone) if standing.until else None
    return {
        "word": word,
        "name": window.name,
        "when": str(window.calendar.pattern),
        "zone": window.calendar.zone.key,
        "reason": window.reason,
        "verdict": window.verdict.value,
        "is_inside": standing.is_inside,
        "until": standing.until,
        "until_local": f"{local:%a %Y-%m-%d %H:%M} {local.tzname()}" if local else None,
        "is_in_the_way": standing.is_inside is (word == "freeze"),
    }
