"""``dbre identity``: who is known, who runs this command, and tokens."""

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode, UsageError
from dbre.core.text import closest, quoted
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.core.identity.access import Access, Identity
    from dbre.core.identity.document import AccessDocument
    from dbre.core.identity.model import Grant, Principal

__all__ = ["app"]

app = typer.Typer(help="People and services, their tokens and roles.", no_args_is_help=True)

_LONGEST_TOKEN = 1000


@app.command("list")
def list_identities(context: typer.Context) -> View:
    """Who is configured, how they come in, and what they may do."""
    from dbre.core.identity.document import access_from

    here = runtime(context)
    document = _document(here)
    access = access_from(document)
    now = here.clock.now()
    rows: list[Row] = [
        {
            "name": one.name,
            "kind": one.kind.value,
            "logs_in_with": _ways(one),
            "tokens_valid_count": sum(token.is_valid(now) for token in one.tokens),
            "tokens_expired_count": sum(not token.is_valid(now) for token in one.tokens),
            "grants": [_grant_text(grant) for grant in one.grants],
        }
        for one in access.identities
    ]
    rows += [
        {
            "name": one.group,
            "kind": "group",
            "logs_in_with": ["oidc"],
            "tokens_valid_count": None,
            "tokens_expired_count": None,
            "grants": [_grant_text(grant) for grant in one.grants],
        }
        for one in access.groups
    ]
    columns = [
        Column(key="name", title="NAME"),
        Column(key="kind", title="KIND"),
        Column(key="logs_in_with", title="LOGS IN WITH", format=_joined),
        Column(key="grants", title="MAY", format=_joined),
        Column(key="tokens_valid_count", title="TOKENS", right=True, wide=True),
        Column(key="tokens_expired_count", title="EXPIRED", right=True, wide=True),
    ]
    empty = "no identities are configured: whoever can read the state store may do everything"
    return View(kind="IdentityList", items=rows, columns=columns, empty=empty, notes=_unknown_environments(access, here))


@app.command()
async def whoami(context: typer.Context) -> View:
    """Who runs this command, by its token or as the user of this machine."""
    principal = await runtime(context).principal()
    return View(kind="Principal", items=[_principal_row(principal)], columns=_PRINCIPAL, single=True)


@app.command()
def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose token it is to be; need not be configured yet.")],
) -> View:
    """Make a token. It is shown this once and stored nowhere; the configuration gets its hash."""
    from dbre.core.identity.access import RESERVED_NAMES
    from dbre.core.identity.document import NAME_PATTERN
    from dbre.core.identity.tokens import make_token, token_hash

    if not re.fullmatch(NAME_PATTERN, name) or name.casefold() in RESERVED_NAMES:
        raise UsageError(f"{quoted(name, limit=130)} cannot be the name of a principal", hint="letters, digits, . _ @ + -")
    made = make_token()
    digest = token_hash(made)
    is_known = _is_listed(runtime(context), name)
    notes = [
        f"below access.principals, at {name}: tokens: [{{hash: {digest!r}}}]".replace("'", '"'),
        "the token is not shown again; use it as DBRE_TOKEN, as Authorization: Bearer, or on the login page",
    ]
    if not is_known:
        notes.append(f"{name} is not configured yet: nobody comes in with the token before that and a restart of dbre server")
    return View(
        kind="IdentityToken",
        items=[{"name": name, "token": made.reveal(), "hash": digest}],
        single=True,
        text=made.reveal(),
        notes=notes,
    )


@app.command("hash")
def hash_token() -> View:
    """Read a token from standard input and print the hash that the configuration holds."""
    from dbre.core.identity.tokens import is_token, token_hash
    from dbre.core.secrets import Secret

    given = sys.stdin.readline(_LONGEST_TOKEN).strip()
    if not is_token(given):  # its text is not repeated: it may be a secret for something else
        raise UsageError("standard input holds no token of dbre", hint="dbre identity token NAME makes one")
    digest = token_hash(Secret(given))
    return View(kind="IdentityHash", items=[{"hash": digest}], single=True, text=digest)


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A configured principal.")],
    permission: Annotated[str, typer.Option(help="read, operate, approve, override, resolve, administer.")],
    cluster: Annotated[str | None, typer.Option(help="On this cluster. Default: on some of the fleet.")] = None,
) -> View:
    """Whether somebody may do something; ends with 4 if not."""
    from dbre.core.identity.document import access_from
    from dbre.core.identity.model import Permission

    here = runtime(context)
    fleet, access = here.fleet, access_from(_document(here))
    wanted = _permission(permission)
    identity = access.identity(name)
    if identity is None:
        near = closest(name, [one.name for one in access.identities])
        hint = f"did you mean {near}?" if near else "dbre identity list names them"
        raise UsageError(f"nobody is configured as {quoted(name, limit=130)}", hint=hint)
    labels = fleet.cluster(cluster).labels if cluster is not None else None
    principal = identity.principal()
    is_allowed = principal.may(Permission(wanted), labels)
    row = {
        "name": name,
        "permission": wanted,
        "cluster": cluster,
        "is_allowed": is_allowed,
        "grants": [_grant_text(one) for one in principal.grants],
    }
    code = ExitCode.OK if is_allowed else ExitCode.DENIED
    return View(kind="PermissionCheck", items=[row], columns=_CHECK, single=True, exit_code=code)


def _permission(text: str) -> str:
    from dbre.core.identity.model import Permission

    known = [one.value for one in Permission]
    if text in known:
        return text
    near = closest(text, known)
    hint = f"did you mean {near}?" if near else f"the permissions are {', '.join(known)}"
    raise UsageError(f"there is no permission {quoted(text, limit=60)}", hint=hint)


def _document(here: Runtime) -> "AccessDocument":
    from dbre.core.identity.document import ACCESS

    return here.config.get(ACCESS)


def _is_listed(here: Runtime, name: str) -> bool:
    from dbre.core.identity.document import access_from

    return access_from(_document(here)).identity(name) is not None


def _unknown_environments(access: "Access", here: Runtime) -> list[str]:
    known = {one.environment for one in here.fleet.clusters}
    holders = [(one.name, one.grants) for one in access.identities] + [
        (f"group {one.group}", one.grants) for one in access.groups
    ]
    return [
        f"{name}: {grant.role} in environment {value}, and no cluster is in it"
        for name, grants in holders
        for grant in grants
        for key, values in grant.selector.terms
        if key == "environment"
        for value in values
        if value not in known
    ]


def _ways(one: "Identity") -> list[str]:
    return (["token"] if one.tokens else []) + (["oidc"] if one.oidc_subject or one.email else [])


def _grant_text(grant: "Grant") -> str:
    return f"{grant.role} where {grant.selector}" if grant.selector.terms else f"{grant.role} everywhere"


def _principal_row(principal: "Principal") -> Row:
    return {
        "name": principal.name,
        "kind": principal.kind.value,
        "grants": [_grant_text(one) for one in principal.grants],
        "note": principal.note,
    }


def _joined(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "-"


_PRINCIPAL = (
    Column(key="name", title="NAME"),
    Column(key="kind", title="KIND"),
    Column(key="grants", title="MAY", format=_joined),
    Column(key="note", title="NOTE"),
)
_CHECK = (
    Column(key="name", title="NAME"),
    Column(key="permission", title="PERMISSION"),
    Column(key="cluster", title="CLUSTER"),
    Column(key="is_allowed", title="ALLOWED", format=lambda value: "yes" if value else "no"),
    Column(key="grants", title="MAY", format=_joined),
)
