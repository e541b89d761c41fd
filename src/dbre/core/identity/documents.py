"""A principal as the document that the API answers with, and back."""

from collections.abc import Mapping
from typing import Any

from dbre.core.errors import Unreachable
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.selector import Selector
from dbre.core.text import printable

__all__ = ["principal_document", "principal_from_document"]


def principal_document(principal: Principal) -> dict[str, Any]:
    """Name, kind and grants, as JSON."""
    grants = [
        {"role": one.role.value, "where": {key: list(values) for key, values in one.selector.terms}} for one in principal.grants
    ]
    return {"name": principal.name, "kind": principal.kind.value, "grants": grants, "note": principal.note}


def principal_from_document(document: Mapping[str, Any]) -> Principal:
    """The principal that a control plane tells of. Raises: Unreachable where it is no such document."""
    try:
        note = document.get("note")
        return Principal(
            name=printable(str(document["name"]), limit=200),
            kind=PrincipalKind(document["kind"]),
            grants=tuple(Grant(role=Role(one["role"]), selector=Selector.of(one["where"])) for one in document["grants"]),
            note=printable(str(note), limit=200) if note else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreachable(
            "the control plane says who you are in a way that this dbre cannot read",
            hint="is it of another version? dbre version, and `version` in /healthz",
        ) from error
