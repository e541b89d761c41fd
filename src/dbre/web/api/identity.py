"""Who asks."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from dbre.core.identity.documents import principal_document
from dbre.web.access import ApiPrincipal
from dbre.web.problems import ERRORS

__all__ = ["router"]

router = APIRouter(prefix="/identity", tags=["identity"], responses={code: ERRORS[code] for code in (401, 403, 503)})


class GrantItem(BaseModel):
    """A role, for the clusters that have one of these values of each label; no label means everything."""

    role: str
    where: dict[str, list[str]]


class IdentityItem(BaseModel):
    """A person, a service or a session, and what it may do."""

    name: str
    kind: str
    grants: list[GrantItem]
    note: str | None


@router.get("")
async def show_identity(principal: ApiPrincipal) -> IdentityItem:
    """Who the token belongs to, and what they may do."""
    found: dict[str, Any] = principal_document(principal)
    return IdentityItem.model_validate(found)
