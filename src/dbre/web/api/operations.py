"""Operations: planned, submitted, approved, steered and followed by programs."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from dbre.core.operation.desk import OperationDesk, OperationFilter
from dbre.core.operation.documents import operation_document, preview_document
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import OperationState
from dbre.web.access import ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.api.operation_items import (
    ApprovalBody,
    ConfirmBody,
    OperationItem,
    OverrideBody,
    PlanBody,
    PreviewItem,
    ReasonBody,
    ResolveBody,
    SubmitBody,
    TuneBody,
)
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(
    prefix="/operations", tags=["operations"], responses={code: ERRORS[code] for code in (400, 401, 403, 409, 422, 503)}
)

_MISSING: dict[int | str, dict[str, Any]] = {404: ERRORS[404]}
Words = Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most this many, the newest first.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same key with the same plan or input gives the first operation again.",
    ),
]


def _item(record: OperationRecord) -> OperationItem:
    return OperationItem.model_validate(operation_document(record))


@router.get("")
async def list_operations(
    wired: Wired,
    principal: ApiPrincipal,
    state: Annotated[list[OperationState] | None, Query(description="These states only; may be repeated.")] = None,
    kind: Words = None,
    target: Words = None,
    requested_by: Words = None,
    before: Annotated[UUID | None, Query(description="Older than this one: the next page.")] = None,
    id_part: Annotated[str | None, Query(pattern="^[0-9A-Fa-f-]{4,36}$", description="How the id begins or ends.")] = None,
    dedup_key: Words = None,
    limit: Limit = 100,
) -> Listing[OperationItem]:
    """The newest operations that you may see; without their journals."""
    wanted = OperationFilter(
        states=tuple(state or ()),
        kind=kind or None,
        target=target or None,
        requested_by=requested_by or None,
        before=before,
        id_part=id_part,
        dedup_key=dedup_key or None,
        limit=limit,
    )
    found = await wired.desk(principal).list(wanted)
    return listing("OperationList", [_item(one) for one in found], wired.clock)


@router.post("/plan")
async def plan_operation(wired: Wired, principal: ApiPrincipal, body: PlanBody) -> PreviewItem:
    """Look, and make a plan; nothing is stored, nothing is changed."""
    preview = await wired.desk(principal).preview(body.kind, body.input)
    return PreviewItem.model_validate(preview_document(preview))


@router.post("", status_code=202, responses={200: {"model": OperationItem, "description": "It had been submitted, and ended."}})
async def submit_operation(
    wired: Wired, principal: ApiPrincipal, body: SubmitBody, response: Response, idempotency_key: Key = None
) -> OperationItem:
    """Run exactly this plan, or the one that kind and input give now; 409 where the plan would be another one."""
    record = await _submit(wired.desk(principal), body, idempotency_key)
    response.headers["Location"] = f"/api/v1/operations/{record.id}"
    if record.is_final:
        response.status_code = 200
    return _item(record)


async def _submit(desk: OperationDesk, body: SubmitBody, key: str | None) -> OperationRecord:
    submission = body.submission(key)
    if body.plan is not None:
        return await desk.submit(PlannedOperation.from_document(body.plan), submission)
    assert body.kind is not None  # noqa: S101 - the body's own validation
    return await desk.request(body.kind, body.input or {}, submission, plan_hash=body.plan_hash)


@router.get("/{operation_id:uuid}", responses=_MISSING)  # or GET of /plan would be taken for one
async def get_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID) -> OperationItem:
    """One operation with its journal."""
    return _item(await wired.desk(principal).get(operation_id))


@router.post("/{operation_id}/approve", responses=_MISSING)
async def approve_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: ApprovalBody) -> OperationItem:
    """Consent to its plan; whoever asked for it cannot."""
    return _item(await wired.desk(principal).approve(operation_id, plan_hash=body.plan_hash, comment=body.comment))


@router.post("/{operation_id}/pause", responses=_MISSING)
async def pause_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: ReasonBody) -> OperationItem:
    """Stop it at its next boundary, until it is resumed."""
    return _item(await wired.desk(principal).pause(operation_id, reason=body.reason))


@router.post("/{operation_id}/resume", responses=_MISSING)
async def resume_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID) -> OperationItem:
    """Let it go on."""
    return _item(await wired.desk(principal).resume(operation_id))


@router.post("/{operation_id}/cancel", responses=_MISSING)
async def cancel_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: ReasonBody) -> OperationItem:
    """Stop it at its next boundary, and undo what was done."""
    return _item(await wired.desk(principal).cancel(operation_id, reason=body.reason))


@router.post("/{operation_id}/retry", status_code=202, responses=_MISSING)
async def retry_operation(
    wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: ConfirmBody, response: Response
) -> OperationItem:
    """Submit its input once more, as a new operation, if the plan is still the same."""
    record = await wired.desk(principal).retry(operation_id, confirm=body.confirm)
    response.headers["Location"] = f"/api/v1/operations/{record.id}"
    return _item(record)


@router.post("/{operation_id}/resolve", responses=_MISSING)
async def resolve_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: ResolveBody) -> OperationItem:
    """Decide what becomes of an operation that needs an operator."""
    return _item(await wired.desk(principal).resolve(operation_id, body.resolution, reason=body.reason))


@router.post("/{operation_id}/tune", responses=_MISSING)
async def tune_operation(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: TuneBody) -> OperationItem:
    """Change values while it runs."""
    return _item(await wired.desk(principal).tune(operation_id, body.values))


@router.post("/{operation_id}/override", responses=_MISSING)
async def override_gate(wired: Wired, principal: ApiPrincipal, operation_id: UUID, body: OverrideBody) -> OperationItem:
    """Bypass a gate that holds it; this is recorded."""
    return _item(await wired.desk(principal).override(operation_id, body.request()))
