"""People and services, their roles, and what a role permits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbre.core.errors import Denied
from dbre.core.selector import Selector

__all__ = ["Grant", "Permission", "Principal", "PrincipalKind", "Role"]


class PrincipalKind(StrEnum):
    """What stands behind a name."""

    PERSON = "person"
    SERVICE = "service"  # a program with a token: CI, a scheduler
    SYSTEM = "system"  # dbre itself: schedules, remediation
    LOCAL = "local"  # whoever can read the state store, where no identities are configured


class Permission(StrEnum):
    """What somebody wants to do."""

    READ = "read"
    OPERATE = "operate"  # plan, submit, cancel, pause, resume, tune, retry
    APPROVE = "approve"  # consent to an operation of somebody else
    OVERRIDE = "override"  # bypass a gate
    RESOLVE = "resolve"  # decide what an operation with an unknown outcome does next
    ADMINISTER = "administer"  # suspend schedules, read the whole audit log


class Role(StrEnum):
    """A named set of permissions; each holds those before it, but approver does not hold operator: four eyes are two people."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


_PERMITS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.APPROVER: frozenset({Permission.READ, Permission.APPROVE}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role, for what the selector selects; a selector without terms means everything."""

    role: Role
    selector: Selector = field(default_factory=Selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is authenticated. ``name`` is what plans, approvals, the audit log and ``application_name`` say."""

    name: str
    kind: PrincipalKind
    grants: tuple[Grant, ...] = ()
    note: str | None = None  # what the name alone does not tell: "sudo by alice"

    def may(self, permission: Permission, labels: Mapping[str, str] | None = None) -> bool:
        """Whether a grant permits it for something with these labels; ``None``: for some of the fleet."""
        return any(
            permission in _PERMITS[grant.role] and (labels is None or grant.selector.allows(labels)) for grant in self.grants
        )

    def require(self, permission: Permission, labels: Mapping[str, str] | None = None, *, what: str) -> None:
        """Raises: Denied, saying who lacks which permission for ``what``."""
        if not self.may(permission, labels):
            roles = ", ".join(sorted({grant.role.value for grant in self.grants})) or "none"
            raise Denied(
                f"{self.name} may not {permission.value} {what}",
                hint=f"roles of {self.name}: {roles}; ask an administrator (dbre identity list)",
                context={"principal": self.name, "permission": permission.value},
            )
