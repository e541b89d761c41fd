"""The section ``prometheus`` of ``dbre.yaml``: servers whose counters are SLIs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document, Duration, FilePath, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError

__all__ = ["PROMETHEUS", "PrometheusDocument"]


def _check_url(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:  # its text would repeat the URL, in which a password may stand
        host, url = None, urlsplit("")
    if url.scheme not in ("http", "https") or not host or any(ord(one) <= 32 or ord(one) == 127 for one in text):
        raise UsageError("not the URL of a Prometheus", hint="write http://prometheus.example:9090")
    if url.username is not None or url.password is not None:
        raise UsageError("a URL holds no password", hint="write user and password as keys of their own")
    if url.query or url.fragment:
        raise UsageError("the URL ends before ? and #", hint="write what stands before /api/v1")
    return text.removesuffix("/").removesuffix("/api/v1")


class PrometheusDocument(Document):
    """One server with the query API of Prometheus: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="by which SLOs name it")
    url: Annotated[str, AfterValidator(_check_url)] = Field(max_length=2_000, description="up to and without /api/v1")
    token: SecretReference | None = Field(None, description="sent as Authorization: Bearer")
    user: str | None = Field(None, max_length=200, description="of HTTP basic authentication")
    password: SecretReference | None = Field(None, description="of HTTP basic authentication")
    tls_ca_file: FilePath | None = Field(None, description="authorities that vouch for the server; default the system's")
    timeout: Annotated[Duration, between("100ms", "120s")] = Field(timedelta(seconds=10), description="of one question")
    interval: Annotated[Duration, between("10s", "10m")] = Field(timedelta(seconds=30), description="between two questions")
    delay: Annotated[Duration, between("1s", "10m")] = Field(
        timedelta(seconds=30), description="how long samples may be under way: younger ones are not counted yet"
    )
    backfill: Annotated[Duration, between("1m", "30d")] = Field(
        timedelta(days=1), description="how far back is counted after dbre or the server was away"
    )

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.token is not None and self.user is not None:
            raise UsageError("a server is logged in to with a token or with a user, not both", hint="remove one of them")
        if (self.user is None) != (self.password is None):
            raise UsageError("user and password go together", hint="write both, or neither")
        return self


def _names_once(documents: Any) -> Iterator[Fault]:
    seen = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another server has the name {name}", hint="rename one of them")
        if isinstance(name, str):
            seen.add(name)


PROMETHEUS: Section[tuple[PrometheusDocument, ...]] = Section(
    key="prometheus",
    shape=tuple[PrometheusDocument, ...],
    default=tuple,
    summary="servers whose counters are SLIs",
    faults=_names_once,
)
