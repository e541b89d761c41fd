"""The audit log: who did what, how it is signed, and a button that verifies all of it. For administrators."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from dbre.core.audit.errors import AuditEntryInvalid
from dbre.core.audit.reading import AuditQuery, entries
from dbre.core.audit.signed_note import encoded
from dbre.core.errors import DbreError
from dbre.core.identity.model import Permission
from dbre.core.moments import moment_of
from dbre.web.access import FormPrincipal, PagePrincipal, Wired
from dbre.web.audit_view import VERIFY_SECONDS, WHOLE_LOG, audit_state, entry_of, proof_of, verify
from dbre.web.templates import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PAGE = 50
Text = Annotated[str, Query(max_length=500, pattern=r"^[^\x00]*$")]
Index = Annotated[int, Path(ge=0, le=2**62)]


@router.get("/audit")
async def audit_page(
    request: Request,
    wired: Wired,
    principal: PagePrincipal,
    action: Text = "",
    actor: Text = "",
    subject: Text = "",
    since: Annotated[str, Query(max_length=100)] = "",
    before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> Response:
    """The newest entries, filtered by the URL, and the state of the log."""
    principal.require(Permission.ADMINISTER, {}, what=WHOLE_LOG)
    asked = AuditQuery(
        action=action or None,
        actor=actor or None,
        subject=subject or None,
        since=moment_of("since", since or None, wired.clock),
        before=before,
    )
    found, unreadable = [], None
    try:
        async with wired.store.read() as connection:
            found = list(await entries(connection, asked, _PAGE + 1))
    except AuditEntryInvalid as error:
        unreadable = error.message  # somebody changed the log: the page is needed more than ever
    values = {
        "state": await audit_state(wired),
        "entries": [one.entry for one in found[:_PAGE]],
        "has_more": len(found) > _PAGE,
        "unreadable": unreadable,
        "filters": {"action": action, "actor": actor, "subject": subject, "since": since},
        "before": before,
        "limit_seconds": VERIFY_SECONDS,
    }
    return HTMLResponse(render(request, "audit.html", title="Audit log", **values))


@router.get("/audit/{index}")
async def audit_entry_page(request: Request, wired: Wired, principal: PagePrincipal, index: Index) -> Response:
    """One entry with the text that was hashed."""
    principal.require(Permission.ADMINISTER, {}, what=WHOLE_LOG)
    found = await entry_of(wired, index)
    proof, unproved = None, None
    try:
        proof = await proof_of(wired, index)
    except DbreError as error:  # a log that must not be signed; its entries are shown all the same
        unproved = error.message
    values = {"entry": found.entry, "text": found.text, "leaf": encoded(found.leaf), "proof": proof, "unproved": unproved}
    return HTMLResponse(render(request, "audit_entry.html", title=f"Audit entry {index}", **values))


@router.post("/audit/verify")
async def verify_page(request: Request, wired: Wired, principal: FormPrincipal) -> Response:
    """Read the whole log, and show what is wrong with it."""
    principal.require(Permission.ADMINISTER, {}, what=WHOLE_LOG)
    done = await verify(wired)
    return HTMLResponse(render(request, "audit_verified.html", title="Audit log verified", done=done, found=done.verification))
