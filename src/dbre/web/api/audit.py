"""The audit log: entries for administrators, checkpoints for witnesses."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from dbre.core.audit.checkpoints import growth_since
from dbre.core.audit.documents import growth_document
from dbre.core.audit.reading import AuditQuery, StoredEntry, entries
from dbre.core.audit.signed_note import encoded
from dbre.core.identity.model import Permission
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.audit_view import WHOLE_LOG, entry_of, proof_of
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(prefix="/audit", tags=["audit"], responses={code: ERRORS[code] for code in (401, 403, 422, 503)})

Words = Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$", description="Exactly this; * at the end: any rest.")]


def _written_out(text: object) -> object:
    if isinstance(text, str) and not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError("write a moment as 2026-11-21T04:00:00Z")  # a bare number would be taken for seconds
    return text


Moment = Annotated[AwareDatetime | None, BeforeValidator(_written_out)]
Index = Annotated[int, Path(ge=0, le=2**62, description="Of the entry, counted from 0.")]


def _administrator(principal: ApiPrincipal) -> None:
    principal.require(Permission.ADMINISTER, {}, what=WHOLE_LOG)


_ADMIN = Depends(_administrator)
_MISSING: dict[int | str, dict[str, Any]] = {404: ERRORS[404], 409: ERRORS[409]}


class EntryItem(BaseModel):
    """An entry; ``canonical`` is the text whose hash is its leaf."""

    index: int
    at: datetime
    action: str
    actor: str
    subject: str
    data: dict[str, Any]
    canonical: str
    leaf_hash: str


class ProofItem(BaseModel):
    """A proof that an entry is in the log: `dbre audit verify --proof FILE` checks it offline."""

    format: str
    index: int
    entry: str
    leaf_hash: str
    proof: list[str]
    checkpoint: str


class GrowthItem(BaseModel):
    """The newest signed checkpoint, with the proof that the log began with ``since`` entries, where it has that many."""

    format: str
    since: int
    proof: list[str]
    checkpoint: str


def _item(found: StoredEntry) -> EntryItem:
    entry = found.entry
    return EntryItem(
        index=entry.index,
        at=entry.at,
        action=entry.action,
        actor=entry.actor,
        subject=entry.subject,
        data=dict(entry.data),
        canonical=found.text,
        leaf_hash=encoded(found.leaf),
    )


@router.get("/entries", dependencies=[_ADMIN])
async def list_entries(
    wired: Wired,
    action: Words = None,
    actor: Words = None,
    subject: Words = None,
    since: Moment = None,
    until: Moment = None,
    before: Annotated[
        int | None, Query(ge=0, le=2**62, description="Only entries with a smaller index: the next page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many, the newest first.")] = 100,
) -> Listing[EntryItem]:
    """Who did what, the newest first; for administrators."""
    query = AuditQuery(
        action=action or None, actor=actor or None, subject=subject or None, since=since, until=until, before=before
    )
    async with wired.store.read() as connection:
        found = await entries(connection, query, limit)
    return listing("AuditEntryList", [_item(one) for one in found], wired.clock)


@router.get("/entries/{index}", responses=_MISSING, dependencies=[_ADMIN])
async def show_entry(wired: Wired, index: Index) -> EntryItem:
    """One entry; for administrators."""
    return _item(await entry_of(wired, index))


@router.get("/entries/{index}/proof", responses=_MISSING, dependencies=[_ADMIN])
async def prove_entry(wired: Wired, index: Index) -> ProofItem:
    """The proof that it is in the log, with the signed checkpoint that it leads to; for administrators."""
    return ProofItem.model_validate(await proof_of(wired, index))


@router.get(
    "/checkpoint",
    dependencies=[ApiAccess],
    responses={204: {"description": "Nothing is signed yet."}, 409: ERRORS[409]},
    response_model=GrowthItem,
)
async def show_checkpoint(
    wired: Wired,
    since: Annotated[int, Query(ge=0, le=2**62, description="Entries of the log that the asker knows; 0: none.")] = 0,
) -> GrowthItem | Response:
    """For witnesses: the newest signed checkpoint. Hashes and a number: whoever may read anything may have it."""
    async with wired.store.read() as connection:
        growth = await growth_since(connection, since, wired.audit.checkpointer.key.verifier)
    return Response(status_code=204) if growth is None else GrowthItem.model_validate(growth_document(growth))
