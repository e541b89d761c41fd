"""Gates: what they guard, what they would say, who waits for them, who holds which target."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from dbre.core.gates.freeze_window import ChangeWindow, FreezeWindow
from dbre.core.gates.model import GateDecision
from dbre.core.gates.supposing import Supposed, ask_supposing
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.gate_reading import HeldOperation, Holder, held_operations, target_holders
from dbre.core.operation.plan import Risk
from dbre.core.operation.states import OperationState
from dbre.core.operation.target_labels import labels_of
from dbre.web.access import ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS, NotFound
from dbre.web.services import Services

__all__ = ["KIND", "decisions_on", "router", "visible_held", "visible_holders"]

router = APIRouter(prefix="/gates", tags=["gates"], responses={code: ERRORS[code] for code in (401, 403, 422, 503)})

KIND = r"^[A-Za-z0-9_.-]{1,100}$"
Cluster = Annotated[str | None, Query(max_length=200, description="Say what each gate says now of a change of this cluster.")]
Kind = Annotated[str, Query(pattern=KIND, description="Suppose an operation of this kind.")]
_MISSING: dict[int | str, dict[str, Any]] = {404: ERRORS[404]}


class GateItem(BaseModel):
    """A gate; what it says is null where no cluster was named."""

    gate: str
    guards: str
    asks_always: bool
    verdict: str | None
    reason: str | None
    evidence: dict[str, Any] | None
    valid_until: datetime | None


class HeldItem(BaseModel):
    """An operation that waits, and for what."""

    operation_id: UUID
    kind: str
    target: str
    state: OperationState
    requested_by: str
    held_by: str
    is_gate: bool
    reason: str
    since: datetime
    next_look: datetime | None


class HolderItem(BaseModel):
    """A target and the operation that holds it."""

    target: str
    mode: str
    operation_id: UUID
    kind: str
    state: OperationState
    requested_by: str
    since: datetime
    ends_about: datetime | None


class WindowItem(BaseModel):
    """A freeze window or a change window, and how it stands now."""

    name: str
    type: str
    when: str
    time_zone: str
    verdict: str
    reason: str | None
    is_inside: bool
    until: datetime | None


@router.get("", responses=_MISSING)
async def list_gates(
    wired: Wired, principal: ApiPrincipal, cluster: Cluster = None, kind: Kind = "change", risk: Risk = Risk.MODERATE
) -> Listing[GateItem]:
    """Every gate, and with ``cluster`` what it says now of an operation that nobody planned."""
    supposed = Supposed(cluster=cluster, kind=kind, risk=risk) if cluster else None
    said = {one.gate: one for one in await decisions_on(wired, principal, supposed)} if supposed else {}
    items = []
    for gate in wired.operations.gates.all():
        one = said.get(gate.name)
        items.append(
            GateItem(
                gate=gate.name,
                guards=gate.summary,
                asks_always=gate.asks_always,
                verdict=one.verdict.value if one else None,
                reason=one.reason if one else None,
                evidence=dict(one.evidence) if one else None,
                valid_until=one.valid_until if one else None,
            )
        )
    return listing("GateList", items, wired.clock)


@router.get("/held")
async def list_held(wired: Wired, principal: ApiPrincipal) -> Listing[HeldItem]:
    """Operations that wait for a gate or a person, the one that has waited longest first."""
    found = await visible_held(wired, principal)
    items = [HeldItem(**{name: getattr(one, name) for name in HeldItem.model_fields}) for one in found]
    return listing("HeldOperationList", items, wired.clock)


@router.get("/holders")
async def list_holders(wired: Wired, principal: ApiPrincipal) -> Listing[HolderItem]:
    """Every locked target with the operation that holds it."""
    found = await visible_holders(wired, principal)
    return listing("TargetHolderList", [_holder(one) for one in found], wired.clock)


@router.get("/windows")
async def list_windows(wired: Wired, _principal: ApiPrincipal) -> Listing[WindowItem]:
    """Freeze windows and change windows; ``until`` is when it will be otherwise."""
    parts = wired.operations
    items = [_window(wired, "freeze", one) for one in parts.freeze_windows]
    items += [_window(wired, "change", one) for one in parts.change_windows]
    return listing("ChangeWindowList", items, wired.clock)


async def decisions_on(wired: Services, principal: Principal, supposed: Supposed) -> Sequence[GateDecision]:
    """What each gate says of it now. Raises: NotFound for a cluster that the principal may not see."""
    known = {one.name for one in wired.fleet.clusters}
    target = f"cluster/{supposed.cluster}"
    if supposed.cluster not in known or not principal.may(Permission.READ, labels_of(target, wired.fleet)):
        raise NotFound(f"the inventory has no cluster {supposed.cluster!r}", hint="dbre fleet list names them")
    return await ask_supposing(wired.operations.gates, supposed, wired.fleet, wired.clock, requested_by=principal.name)


async def visible_held(wired: Services, principal: Principal) -> Sequence[HeldOperation]:
    """Operations that wait, as far as the principal may see them."""
    return [one for one in await held_operations(wired.store) if _may_see(wired, principal, one.target)]


async def visible_holders(wired: Services, principal: Principal) -> Sequence[Holder]:
    """Locked targets, as far as the principal may see them."""
    return [one for one in await target_holders(wired.store) if _may_see(wired, principal, one.lock.target)]


def _may_see(wired: Services, principal: Principal, target: str) -> bool:
    return principal.may(Permission.READ, labels_of(target, wired.fleet))


def _holder(one: Holder) -> HolderItem:
    return HolderItem(
        target=one.lock.target,
        mode=one.lock.mode.value,
        operation_id=one.lock.operation_id,
        kind=one.kind,
        state=one.state,
        requested_by=one.requested_by,
        since=one.lock.at,
        ends_about=one.ends_about,
    )


def _window(wired: Services, word: str, window: FreezeWindow | ChangeWindow) -> WindowItem:
    standing = window.calendar.at(wired.clock.now())
    return WindowItem(
        name=window.name,
        type=word,
        when=str(window.calendar.pattern),
        time_zone=window.calendar.zone.key,
        verdict=window.verdict.value,
        reason=window.reason,
        is_inside=standing.is_inside,
        until=standing.until,
    )
