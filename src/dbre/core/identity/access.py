"""Who is known here, and which principal a token or a login stands for."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dbre.core.errors import Denied
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.identity.tokens import is_token, token_digest
from dbre.core.text import printable

__all__ = [
    "RESERVED_NAMES",
    "SERVER_TOKEN",
    "Access",
    "GroupGrants",
    "Identity",
    "TokenHash",
    "WrongToken",
    "principal_of_token",
]

SERVER_TOKEN = Principal(name="server-token", kind=PrincipalKind.SERVICE, grants=(Grant(role=Role.ADMIN),))
"""Whoever has the control plane's own token, where identities are configured as well: for emergencies."""

RESERVED_NAMES = frozenset({SERVER_TOKEN.name, "system", "dbre"})
"""Names that no configured identity may have."""

_NO_DIGEST = bytes(32)


class WrongToken(Denied):
    """No token, or one that nobody has, or has no more."""

    code = "identity.wrong_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHash:
    """One token of somebody, known by its hash."""

    digest: bytes
    expires_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it may still be used."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person or a service as configured."""

    name: str
    kind: PrincipalKind
    tokens: tuple[TokenHash, ...] = ()
    oidc_subject: str | None = None
    email: str | None = None  # lower case
    grants: tuple[Grant, ...] = ()

    def principal(self, *, more: tuple[Grant, ...] = ()) -> Principal:
        """The principal; ``more`` are the grants of the groups that a provider told of."""
        return Principal(name=self.name, kind=self.kind, grants=(*self.grants, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupGrants:
    """What the members of a group of the OpenID provider may do."""

    group: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Everybody who is configured. Nobody at all: the embedded mode of one user, who may do everything."""

    identities: tuple[Identity, ...] = ()
    groups: tuple[GroupGrants, ...] = ()
    has_provider: bool = False

    @property
    def is_embedded(self) -> bool:
        """Whether no identities are configured."""
        return not self.identities and not self.has_provider

    def identity(self, name: str) -> Identity | None:
        """The identity of that name."""
        return next((one for one in self.identities if one.name == name), None)

    def principal_of_digest(self, digest: bytes, *, now: datetime) -> Principal | None:
        """Who has the token with this SHA-256 and may use it now.

        Every hash is compared, and each in constant time, so that the time tells neither who exists nor where somebody stands.
        """
        found: Principal | None = None
        for identity in self.identities:
            for token in identity.tokens:
                if hmac.compare_digest(token.digest, digest) and token.is_valid(now):
                    found = identity.principal()
        return found

    def principal_of_login(self, *, subject: str, email: str | None, groups: Collection[str]) -> Principal:
        """Who has logged in at the provider: ``subject`` is unique there, ``email`` is one that it has verified.

        A listed identity is found by its subject, else by its e-mail. Members of a listed group need not be listed themselves;
        their name is the e-mail, or ``oidc:`` and the subject.

        Raises: Denied where nothing is granted, or where the name belongs to somebody else.
        """
        grants = tuple(grant for one in self.groups if one.group in groups for grant in one.grants)
        listed = self._listed(subject, email)
        if listed is not None:
            return listed.principal(more=grants)
        name = email or f"oidc:{printable(subject, limit=120)}"
        if not grants:
            raise Denied(
                f"{printable(name)} is not known here",
                hint="an administrator lists the person under access.principals, or a group under access.groups",
            )
        taken = {one.name.casefold() for one in self.identities} | RESERVED_NAMES
        if name.casefold() in taken:
            raise Denied(
                f"the name {printable(name)} belongs to an identity that this login does not match",
                hint="an administrator sets oidc_subject or email of that identity",
            )
        return Principal(name=name, kind=PrincipalKind.PERSON, grants=grants)

    def _listed(self, subject: str, email: str | None) -> Identity | None:
        by_subject = next((one for one in self.identities if one.oidc_subject == subject), None)
        if by_subject is not None or email is None:
            return by_subject
        # A subject that is written down is exact: its owner's e-mail may have gone to somebody else since.
        return next((one for one in self.identities if one.oidc_subject is None and one.email == email.lower()), None)


def principal_of_token(access: Access, token: str, *, now: datetime) -> Principal:
    """Who presents this token.

    Only what has the form of a token is looked for: a hash of something that people made up would not be safe as SHA-256.

    Raises: WrongToken, with one message for all reasons: it must not tell which names or tokens exist.
    """
    digest = token_digest(token) if is_token(token) else _NO_DIGEST
    found = access.principal_of_digest(digest, now=now)
    if found is None:
        raise WrongToken(
            "the token is wrong or has expired",
            hint="dbre identity token NAME makes a new one; an administrator lists its hash",
        )
    return found
