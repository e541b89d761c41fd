"""The section ``access`` of ``dbre.yaml``: people, services, groups and the OpenID provider."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer, PlainValidator, WithJsonSchema

from dbre.core.config import Document, Duration, FilePath, LabelKey, LabelValue, Name, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.identity.access import RESERVED_NAMES, Access, GroupGrants, Identity, TokenHash
from dbre.core.identity.model import Grant, PrincipalKind, Role
from dbre.core.identity.tokens import TOKEN_HASH, TOKEN_PREFIX
from dbre.core.selector import Selector
from dbre.core.text import closest, printable, quoted

__all__ = [
    "ACCESS",
    "CALLBACK_PATH",
    "NAME_PATTERN",
    "AccessDocument",
    "GrantDocument",
    "GroupDocument",
    "OidcDocument",
    "PrincipalDocument",
    "access_from",
    "is_loopback",
]

CALLBACK_PATH = "/login/oidc/callback"
"""Where the provider sends browsers back to."""

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._@+-]{0,126}[A-Za-z0-9])?$"
"""Names of principals."""


def _check_name(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise UsageError("expected a name of 1 to 128 letters, digits and . _ @ + - with a letter or digit at both ends")
    if text.casefold() in RESERVED_NAMES:
        raise UsageError(f"the name {text} is dbre's own", hint="take another name")
    return text


def _read_role(value: Any) -> Role:
    if isinstance(value, str) and value in set(Role):
        return Role(value)
    known = [role.value for role in Role]
    near = closest(value, known) if isinstance(value, str) else None
    shown = f" {quoted(value, limit=60)}" if isinstance(value, str) else " of that kind"
    raise UsageError(f"there is no role{shown}", hint=f"did you mean {near}?" if near else f"the roles are {', '.join(known)}")


def _check_hash(text: str) -> str:
    if re.fullmatch(TOKEN_HASH, text):
        return text
    if text.startswith(TOKEN_PREFIX):  # never repeated: it is the secret itself
        raise UsageError(
            "the token itself stands where its hash belongs, and everybody who reads this file has it now",
            hint="make another: dbre identity token NAME prints the line to write here; dbre identity hash reads one",
        )
    digits = re.fullmatch(r"sha256:([0-9a-fA-F]*)", text)
    if digits:
        found = f"has {len(digits[1])} hexadecimal digits; SHA-256 has 64" if len(digits[1]) != 64 else "has capital letters"
        raise UsageError(
            f"the hash {found}", hint="copy the whole line that dbre identity token NAME printed, as it was printed"
        )
    raise UsageError("expected sha256: and 64 hexadecimal digits", hint="dbre identity hash makes it from a token")


def _check_selector(selector: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    Selector.of(selector)
    return selector


def _url(text: str, what: str, *, hint: str) -> SplitResult:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if not host or url.scheme not in ("http", "https") or any(ord(one) <= 32 or ord(one) == 127 for one in text):
        raise UsageError(f"not the URL of {what}", hint=hint)
    if url.username is not None or url.query or url.fragment:
        raise UsageError(f"the URL of {what} has no user, query or fragment", hint=hint)
    return url


def _check_issuer(text: str) -> str:
    url = _url(
        text, "an OpenID provider", hint="write `issuer` of its discovery document: https://login.example.com/realms/ops"
    )
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise UsageError("an OpenID provider is reached by https", hint="http is for one on this machine only")
    return text


def _check_redirect(text: str) -> str:
    hint = f"write https://dbre.example.com{CALLBACK_PATH}"
    if not _url(text, "this control plane", hint=hint).path.endswith(CALLBACK_PATH):
        raise UsageError(f"logins return to {CALLBACK_PATH}", hint=hint)
    return text


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine, where plain HTTP tells nobody else anything."""
    return host in ("127.0.0.1", "::1", "localhost")


def _check_email(text: str) -> str:
    if not re.fullmatch(r"[^\s@]{1,128}@[^\s@]{1,253}", text) or printable(text) != text:
        raise UsageError("expected an e-mail address")
    return text.lower()


def _check_domain(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text):
        raise UsageError("expected a domain such as example.com", hint="without @")
    return text.lower()


PrincipalName = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
RoleName = Annotated[
    Role,
    PlainValidator(_read_role),
    PlainSerializer(lambda role: role.value, return_type=str),
    WithJsonSchema({"type": "string", "enum": [role.value for role in Role]}),
]
HashText = Annotated[str, AfterValidator(_check_hash), WithJsonSchema({"type": "string", "pattern": TOKEN_HASH})]
PlainText = Annotated[str, Field(min_length=1, max_length=255)]


class GrantDocument(Document):
    """One role, for everything or for a part of the fleet."""

    role: RoleName = Field(description="viewer, operator, approver, admin")
    environments: tuple[Name, ...] | None = Field(default=None, description="Only in these environments. Default: all")
    selector: Annotated[dict[LabelKey, LabelValue | list[LabelValue]], AfterValidator(_check_selector)] | None = Field(
        default=None, description="Only for clusters with these labels: label to value or list of values. Default: all"
    )

    def grant(self) -> Grant:
        """The grant of the document."""
        labels = dict(self.selector or {})
        if self.environments:
            labels["environment"] = list(self.environments)
        return Grant(role=self.role, selector=Selector.of(labels))


class TokenDocument(Document):
    """One token, known by its hash."""

    hash: HashText = Field(description="sha256: and 64 hexadecimal digits, as dbre identity token prints")
    expires_at: AwareDatetime | None = Field(default=None, description="Refused from this moment on; RFC 3339. Default: never")


class PrincipalDocument(Document):
    """A person or a service."""

    name: PrincipalName = Field(description="What plans, approvals and the audit log say")
    kind: Literal["person", "service"] = Field(default="person", description="A service is a program: CI, a scheduler")
    tokens: tuple[TokenDocument, ...] = Field(default=(), max_length=20, description="Several while one replaces another")
    oidc_subject: PlainText | None = Field(default=None, description="`sub` at the OpenID provider")
    email: Annotated[str, AfterValidator(_check_email)] | None = Field(
        default=None, description="Verified e-mail at the OpenID provider, where no oidc_subject is given"
    )
    grants: tuple[GrantDocument, ...] = Field(default=(), description="Roles. Default: none")

    def identity(self) -> Identity:
        """The identity of the document."""
        tokens = tuple(TokenHash(digest=bytes.fromhex(one.hash[7:]), expires_at=one.expires_at) for one in self.tokens)
        return Identity(
            name=self.name,
            kind=PrincipalKind(self.kind),
            tokens=tokens,
            oidc_subject=self.oidc_subject,
            email=self.email,
            grants=tuple(one.grant() for one in self.grants),
        )


class GroupDocument(Document):
    """What the members of a group of the OpenID provider may do."""

    group: PlainText = Field(description="As it stands in the claim of groups")
    grants: tuple[GrantDocument, ...] = Field(min_length=1, description="Roles of its members")


class OidcDocument(Document):
    """The OpenID provider at which people log in."""

    issuer: Annotated[str, AfterValidator(_check_issuer)] = Field(
        max_length=500, description="Its issuer, exactly as its discovery document says"
    )
    name: PlainText | None = Field(default=None, description="On the login button. Default: the host of the issuer")
    client_id: PlainText = Field(description="As registered at the provider")
    client_secret: SecretReference | None = Field(default=None, description="Where it is kept. Default: a public client")
    scopes: tuple[PlainText, ...] = Field(default=("openid", "email", "profile"), description="What is asked for")
    groups_claim: PlainText = Field(default="groups", description="Claim that lists the groups of a person")
    allowed_domains: tuple[Annotated[str, AfterValidator(_check_domain)], ...] = Field(
        default=(), description="Only verified e-mails of these domains. Default: any"
    )
    redirect_url: Annotated[str, AfterValidator(_check_redirect)] | None = Field(
        default=None,
        max_length=500,
        description="As registered at the provider. Default: /login/oidc/callback at the address that the browser uses",
    )
    session: Annotated[Duration, between("5m", "7d")] = Field(
        default=timedelta(hours=12), description="How long a login lasts; groups are read again at the next"
    )
    tls_ca_file: FilePath | None = Field(
        default=None, description="Authorities that vouch for the provider. Default: the system's"
    )


class AccessDocument(Document):
    """Who may do what."""

    principals: tuple[PrincipalDocument, ...] = Field(default=(), description="People and services")
    groups: tuple[GroupDocument, ...] = Field(default=(), description="Groups of the OpenID provider")
    oidc: OidcDocument | None = Field(default=None, description="The OpenID provider. Default: tokens only")


def access_from(document: AccessDocument) -> Access:
    """Who is known, for look-ups."""
    return Access(
        identities=tuple(one.identity() for one in document.principals),
        groups=tuple(
            GroupGrants(group=one.group, grants=tuple(grant.grant() for grant in one.grants)) for one in document.groups
        ),
        has_provider=document.oidc is not None,
    )


def _faults(access: Any) -> Iterator[Fault]:
    principals = list(_mappings(access, "principals"))
    groups = list(_mappings(access, "groups"))
    yield from _repeated("name", "principals", principals, key=str.casefold)
    yield from _repeated("oidc_subject", "principals", principals)
    yield from _repeated("email", "principals", principals, key=str.lower)
    yield from _repeated("group", "groups", groups)
    yield from _repeated_hashes(principals)
    has_provider = isinstance(access, dict) and access.get("oidc") is not None
    for index, one in principals:
        yield from _principal_faults(("principals", index), one, has_provider=has_provider)
    for where, holders in (("principals", principals), ("groups", groups)):
        for index, one in holders:
            yield from _grant_faults((where, index), one)
    if groups and not has_provider:
        yield Fault(path=("groups",), message="groups come from an OpenID provider, and none is configured", hint="add oidc")
    if has_provider and not groups and not any(one.get("email") or one.get("oidc_subject") for _, one in principals):
        hint = "give a principal email or oidc_subject, or add groups"
        yield Fault(path=("oidc",), message="nobody could log in: no principal and no group belongs to the provider", hint=hint)


def _principal_faults(path: tuple[str | int, ...], one: dict[str, Any], *, has_provider: bool) -> Iterator[Fault]:
    for key in ("oidc_subject", "email"):
        if one.get(key) is not None and not has_provider:
            message = f"{key} is for logins at an OpenID provider, and none is configured"
            yield Fault(path=(*path, key), message=message, hint="add access.oidc, or remove it")
    if not one.get("tokens") and not one.get("oidc_subject") and not one.get("email"):
        hint = "dbre identity token NAME makes a token; or set email or oidc_subject"
        yield Fault(path=path, message=f"{_shown(one.get('name'))} has no way to come in", hint=hint)


def _grant_faults(path: tuple[str | int, ...], holder: dict[str, Any]) -> Iterator[Fault]:
    for index, grant in _mappings(holder, "grants"):
        selector = grant.get("selector")
        if grant.get("environments") and isinstance(selector, dict) and "environment" in selector:
            place = (*path, "grants", index, "environments")
            yield Fault(
                path=place, message="the environment is limited twice", hint="keep environments, or selector.environment"
            )
        for key in ("environments", "selector"):
            if key in grant and grant[key] in ([], {}):
                place = (*path, "grants", index, key)
                yield Fault(path=place, message=f"{key} is empty, which would mean everything", hint="remove the key")


def _repeated(field: str, where: str, holders: list[tuple[int, dict[str, Any]]], *, key: Any = str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in holders:
        value = one.get(field)
        if isinstance(value, str) and key(value) in seen:
            message = f"{field} {_shown(value)} stands at another entry too"
            yield Fault(
                path=(where, index, field), message=message, hint="each may stand there once; upper and lower case count as one"
            )
        elif isinstance(value, str):
            seen.add(key(value))


def _repeated_hashes(principals: list[tuple[int, dict[str, Any]]]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in principals:
        for position, token in _mappings(one, "tokens"):
            value = token.get("hash")
            if isinstance(value, str) and value in seen and value.startswith("sha256:"):
                place = ("principals", index, "tokens", position, "hash")
                yield Fault(path=place, message="this hash stands there twice", hint="each principal has tokens of its own")
            elif isinstance(value, str):
                seen.add(value)


def _mappings(holder: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    items = holder.get(key) if isinstance(holder, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield index, item


def _shown(value: object) -> str:
    return printable(value, limit=130) if isinstance(value, str) else "this principal"


ACCESS: Section[AccessDocument] = Section(
    key="access",
    shape=AccessDocument,
    default=AccessDocument,
    summary="Who may do what: people, services, groups; left out: whoever can read the state store may do everything.",
    faults=_faults,
)
