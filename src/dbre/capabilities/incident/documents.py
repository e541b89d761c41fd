"""The section ``receivers`` of ``dbre.yaml``: who gets alerts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from dbre.core.config import Document, Duration, FilePath, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError

__all__ = ["RECEIVERS", "ReceiverDocument", "check_url"]

_SEVERITIES = ("page", "ticket")


def check_url(text: str) -> str:
    """A URL of a web server that holds no password. Raises: UsageError, which never repeats it."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:  # its text would repeat the URL, in which a token may stand
        host, port, url = None, None, urlsplit("")
    if url.scheme not in ("http", "https") or not host or port == 0 or any(ord(one) <= 32 or ord(one) == 127 for one in text):
        raise UsageError("not the URL of a web server", hint="write https://host/path")
    if url.username is not None or url.password is not None:
        raise UsageError("a URL holds no password", hint="receivers know dbre by its signature: write it without user@")
    if url.fragment:
        raise UsageError("a URL that is posted to has no #fragment", hint="remove it")
    return text


def _check_severity(severity: str) -> str:
    if severity not in _SEVERITIES:
        raise UsageError(f"{severity} is not a severity", hint="write page, ticket, or both")
    return severity


class ReceiverDocument(Document):
    """One HTTP endpoint that gets alerts, signed after Standard Webhooks."""

    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="stays the same over time: deliveries are remembered by it"
    )
    url: Annotated[str, AfterValidator(check_url)] = Field(max_length=2_000, description="where alerts are posted to")
    secret: SecretReference = Field(description="what signs: whsec_ and base64, or any text of 16 bytes or more")
    severities: list[Annotated[str, AfterValidator(_check_severity)]] = Field(
        default=list(_SEVERITIES), min_length=1, description="which alerts: page, ticket"
    )
    timeout: Annotated[Duration, between("100ms", "60s")] = Field(timedelta(seconds=10), description="of one attempt")
    allow_loopback: bool = Field(default=False, description="the receiver runs on this machine")
    allow_private: bool = Field(default=False, description="the receiver has an address of a private network")
    tls_ca_file: FilePath | None = Field(
        default=None, description="authorities that vouch for the receiver; default the system's"
    )


def _names_once(documents: Any) -> Iterator[Fault]:
    seen = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another receiver has the name {name}", hint="rename one of them")
        seen.add(name)


RECEIVERS: Section[tuple[ReceiverDocument, ...]] = Section(
    key="receivers",
    shape=tuple[ReceiverDocument, ...],
    default=tuple,
    summary="who gets alerts, by signed webhook",
    faults=_names_once,
)
