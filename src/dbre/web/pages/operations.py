"""Operations: the list, and one operation with its plan beside reality, live, with the forms to steer it."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dbre.core.errors import Unreachable, UsageError
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationDesk, OperationFilter, OverrideRequest
from dbre.core.operation.evidence.pack import EvidenceSource, make_pack
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.outline import outline
from dbre.core.operation.states import FINAL, OperationState
from dbre.core.operation.target_labels import labels_of
from dbre.core.text import quoted
from dbre.web.access import FormPrincipal, PagePrincipal, Wired
from dbre.web.pages.operation_actions import actions_for
from dbre.web.pages.operation_stream import follow
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PAGE = 50
_EVIDENCE_SECONDS = 30.0
_GROUPS = {
    "": (),
    "open": tuple(state for state in OperationState if state not in FINAL),
    "attention": (OperationState.NEEDS_OPERATOR, OperationState.AWAITING_APPROVAL, OperationState.PAUSED),
}
Text = Annotated[str, Query(max_length=500, pattern=r"^[^\x00]*$")]
Field = Annotated[str, Form(max_length=1000)]


@router.get("/operations")
async def operations_page(
    request: Request,
    wired: Wired,
    principal: PagePrincipal,
    state: Text = "",
    kind: Text = "",
    target: Text = "",
    before: UUID | None = None,
) -> Response:
    """The newest operations, filtered by the URL; a request by htmx gets the table alone."""
    states = _GROUPS[state] if state in _GROUPS else (OperationState(state),) if state in set(OperationState) else ()
    wanted = OperationFilter(states=states, kind=kind or None, target=target or None, before=before, limit=_PAGE + 1)
    found = await wired.desk(principal).list(wanted)
    values = {
        "operations": found[:_PAGE],
        "has_more": len(found) > _PAGE,
        "states": [one.value for one in OperationState],
        "state": state,
        "kind": kind,
        "target": target,
        "before": before,
        "now": wired.clock.now(),
        "here": f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path,
    }
    template = "_operations_table.html" if "hx-request" in request.headers else "operations.html"
    page = HTMLResponse(render(request, template, title="Operations", **values))
    page.headers["Vary"] = "HX-Request"
    return page


@router.get("/operations/{operation_id}")
async def operation_page(request: Request, wired: Wired, principal: PagePrincipal, operation_id: UUID) -> Response:
    """One operation; it keeps itself up to date while it runs."""
    record = await wired.desk(principal).get(operation_id)
    values = _live(wired, principal, record)
    return HTMLResponse(render(request, "operation.html", title=record.planned.plan.summary, **values))


@router.get("/operations/{operation_id}/stream")
async def operation_stream(request: Request, wired: Wired, operation_id: UUID) -> Response:
    """Server-sent events: the live part of the page, each time it changes; ``ended`` when nothing more will happen.

    Without a session the stream says so and ends: a redirect to the login page is nothing that a stream can show.
    """

    def draw(principal: Principal, record: OperationRecord) -> str:
        return render(request, "_operation_live.html", **_live(wired, principal, record))

    return follow(request, wired, operation_id, draw)


@router.get("/operations/{operation_id}/evidence.zip")
async def operation_evidence(wired: Wired, principal: PagePrincipal, operation_id: UUID) -> Response:
    """Everything that is known of it in one file, which anybody can check offline."""
    await wired.desk(principal).get(operation_id)  # whether this user may see it
    signer = wired.audit.checkpointer
    source = EvidenceSource(
        store=wired.store, key=signer.key, clock=wired.clock, witness=signer.witness, slo=wired.slo_snapshots
    )
    try:
        async with asyncio.timeout(_EVIDENCE_SECONDS):
            data, _ = await make_pack(source, operation_id)
    except TimeoutError as error:
        raise Unreachable(
            f"the pack of operation {operation_id} was not made within {_EVIDENCE_SECONDS:.0f} s",
            hint=f"dbre op evidence {operation_id} --out FILE",
        ) from error
    disposition = f'attachment; filename="dbre-operation-{operation_id}.zip"'
    return Response(data, media_type="application/zip", headers={"Content-Disposition": disposition})


def _live(wired: Services, principal: Principal, record: OperationRecord) -> dict[str, object]:
    labels = labels_of(record.planned.plan.target, wired.fleet)
    return {
        "one": record,
        "operation": record,
        "rows": outline(record, now=wired.clock.now()),
        "actions": actions_for(record, principal, labels),
    }


@router.post("/operations/{operation_id}/{action}")
async def act(
    request: Request,
    wired: Wired,
    principal: FormPrincipal,
    operation_id: UUID,
    action: str,
    plan_hash: Field = "",
    reason: Field = "",
    comment: Field = "",
    resolution: Field = "",
    gate: Field = "",
    ticket: Field = "",
    confirm: Field = "",
) -> Response:
    """Do what one of the page's forms asks, and show the operation again."""
    desk = wired.desk(principal)
    match action:
        case "approve":
            await desk.approve(operation_id, plan_hash=plan_hash, comment=comment or None)
        case "pause":
            await desk.pause(operation_id, reason=reason or None)
        case "resume":
            await desk.resume(operation_id)
        case "cancel":
            await desk.cancel(operation_id, reason=reason or None)
        case "resolve":
            await desk.resolve(operation_id, _resolution(resolution), reason=reason)
        case "override":
            await desk.override(operation_id, OverrideRequest(gate=gate, reason=reason, ticket=ticket or None))
        case "tune":
            await _tune(desk, request, operation_id)
        case "retry":
            operation_id = (await desk.retry(operation_id, confirm=confirm or None)).id
        case _:
            raise NotFound(f"nothing of an operation is called {action!r}")
    return RedirectResponse(f"/operations/{operation_id}", status_code=303)


def _resolution(text: str) -> Resolution:
    if text not in set(Resolution):
        known = ", ".join(one.value for one in Resolution)
        raise UsageError(f"{quoted(text, limit=50)} is no decision", hint=f"one of {known}")
    return Resolution(text)


async def _tune(desk: OperationDesk, request: Request, operation_id: UUID) -> None:
    form = await request.form()
    prefix = "tune_"
    values = {name.removeprefix(prefix): str(value) for name, value in form.items() if name.startswith(prefix)}
    await desk.tune(operation_id, values)
