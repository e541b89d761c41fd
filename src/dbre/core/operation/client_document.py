"""Section ``client`` of the configuration: which control plane commands talk to."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from dbre.core.config import Document, SecretReference, Section
from dbre.core.errors import UsageError

__all__ = ["CLIENT", "ClientDocument", "server_url"]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def server_url(text: str) -> str:
    """The address of a control plane to which a token may be sent; without the slash at its end.

    Raises: UsageError for another scheme, for user, query or fragment, and for http over a network.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("the address of the control plane is not a URL", hint="https://dbre.example:8432") from error
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise UsageError("the address of the control plane is not a URL of http or https", hint="https://dbre.example:8432")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "the address of the control plane holds more than scheme, host, port and path",
            hint="the token belongs to client.token, or to the variable DBRE_TOKEN",
        )
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageError(
            f"http://{host} would carry the token unencrypted", hint="put TLS before the control plane and write https://"
        )
    return text.rstrip("/")


class ClientDocument(Document):
    """Where commands send operations, for people without access to the state store."""

    url: Annotated[
        Annotated[str, AfterValidator(server_url)] | None,
        Field(description="Address of a control plane. Default: none, commands open the state store themselves."),
    ] = None
    token: Annotated[
        SecretReference | None, Field(description="Your token for it. The variable DBRE_TOKEN comes before it.")
    ] = None


CLIENT = Section("client", ClientDocument, ClientDocument, "the control plane that commands talk to, and your token for it")
"""The section that the composition root hands to the loader."""
