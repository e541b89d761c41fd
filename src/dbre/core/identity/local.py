"""Who runs a command."""

import os
import pwd
from collections.abc import Mapping
from datetime import datetime

from dbre.core.identity.access import Access, WrongToken, principal_of_token
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["TOKEN_VARIABLE", "cli_principal", "cli_token", "local_principal"]

TOKEN_VARIABLE = "DBRE_TOKEN"  # noqa: S105 - the name of the variable


def local_principal(environment: Mapping[str, str] | None = None) -> Principal:
    """The user of this process as the operating system knows it, who may do everything where no identities are configured.

    The name belongs to the effective user id: variables such as ``USER`` can say anything. Who called ``sudo`` is a note.
    """
    user_id = os.geteuid()
    variables = os.environ if environment is None else environment
    caller = variables.get("SUDO_USER", "") if user_id == 0 else ""
    return Principal(
        name=_user_name(user_id),
        kind=PrincipalKind.LOCAL,
        grants=(Grant(role=Role.ADMIN),),
        note=f"sudo by {printable(caller, limit=64)}" if caller else None,
    )


def cli_token(environment: Mapping[str, str], configured: Secret | None = None) -> Secret | None:
    """The token that a command presents: the variable ``DBRE_TOKEN``, else ``client.token`` of the configuration."""
    given = environment.get(TOKEN_VARIABLE, "").strip()
    return Secret(given) if given else configured


def cli_principal(access: Access, token: Secret | None, *, now: datetime) -> Principal:
    """Who runs this command: the local user where no identities are configured, else whoever has the token.

    Raises: WrongToken where it is missing, wrong or expired.
    """
    if access.is_embedded:
        return local_principal()
    if token is None:
        raise WrongToken(
            "this installation knows its users, and no token was given",
            hint=f"set {TOKEN_VARIABLE}, or client.token to where the token is kept; dbre identity token NAME makes one",
        )
    return principal_of_token(access, token.reveal().strip(), now=now)


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # a container that runs under a number
        return f"uid-{user_id}"
