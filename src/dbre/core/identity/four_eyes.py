"""Whoever approves is somebody else than whoever asked."""

from collections.abc import Mapping

from dbre.core.errors import Denied
from dbre.core.identity.model import Permission, Principal

__all__ = ["is_same", "may_approve", "require_approver"]


def may_approve(principal: Principal, *, requested_by: str, labels: Mapping[str, str] | None = None) -> bool:
    """Whether this principal may consent to what ``requested_by`` asked for, on something with these labels."""
    return principal.may(Permission.APPROVE, labels) and not is_same(principal.name, requested_by)


def require_approver(principal: Principal, *, requested_by: str, labels: Mapping[str, str] | None = None, what: str) -> None:
    """Raises: Denied where the permission is missing, or where the requester would approve what they asked for."""
    principal.require(Permission.APPROVE, labels, what=what)
    if is_same(principal.name, requested_by):
        raise Denied(
            f"{principal.name} asked for {what} and cannot approve it",
            hint="four eyes: another approver consents (dbre identity list)",
            context={"principal": principal.name, "requested_by": requested_by},
        )


def is_same(one: str, other: str) -> bool:
    """Whether two names stand for the same principal, however they are written."""
    return one.casefold() == other.casefold()
