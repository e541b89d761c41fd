"""The section ``stack`` of ``dbre.yaml``: the services that are checked."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from dbre.capabilities.stack.model import ServiceKind
from dbre.core.config import Document, Duration, FilePath, SecretReference, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError

__all__ = ["SCHEMES", "STACK", "ServiceDocument"]

_WEB = ("http", "https")
SCHEMES: dict[ServiceKind, tuple[str, ...]] = {
    ServiceKind.PROMETHEUS: _WEB,
    ServiceKind.ALERTMANAGER: _WEB,
    ServiceKind.LOKI: _WEB,
    ServiceKind.GRAFANA: _WEB,
    ServiceKind.POSTGRESQL: ("postgresql",),
    ServiceKind.MYSQL: ("mysql",),
    ServiceKind.REDIS: ("redis",),
    ServiceKind.RABBITMQ: ("amqp", *_WEB),
    ServiceKind.HTTP: _WEB,
    ServiceKind.TCP: ("tcp",),
}
"""How the URL of each kind begins; of RabbitMQ the broker itself, or its management API."""


class ServiceDocument(Document):
    """One service, asked at its own interval."""

    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="by which SLOs and commands name it; stays the same"
    )
    kind: ServiceKind = Field(description="what it is, and so how it is asked")
    url: str = Field(
        max_length=2_000, description="http://host:9090, postgresql://host:5432/db, amqp://host:5672, tcp://host:22"
    )
    user: str | None = Field(None, max_length=200, description="to log in with, where the service wants that")
    password: SecretReference | None = Field(None, description="of that user")
    token: SecretReference | None = Field(None, description="HTTP: sent as Authorization: Bearer")
    tls_ca_file: FilePath | None = Field(None, description="authorities that vouch for it; default the system's")
    timeout: Annotated[Duration, between("100ms", "60s")] = Field(timedelta(seconds=5), description="of the whole check")
    interval: Annotated[Duration, between("5s", "1h")] = Field(timedelta(seconds=30), description="between two checks")
    slow_after: Duration | None = Field(None, description="an answer that takes longer is degraded; default never")
    failures: int = Field(2, ge=1, le=100, description="so many checks in a row must fail before it is called down in events")
    expect_status: list[int] | None = Field(None, max_length=20, description="HTTP: default any from 200 to 299")
    expect_text: str | None = Field(None, min_length=1, max_length=200, description="HTTP: what the answer must hold")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        url = self.address
        allowed = SCHEMES[self.kind]
        if url.scheme not in allowed or not url.hostname:
            raise UsageError(
                f"the URL of a {self.kind} begins with {' or '.join(f'{one}://' for one in allowed)}, and names a host"
            )
        if url.username is not None or url.password is not None:
            raise UsageError("a URL holds no password", hint="write user and password as keys of their own")
        if self.kind is ServiceKind.TCP and url.port is None:
            raise UsageError("a TCP service has a port", hint="write tcp://host:port")
        if self.kind is not ServiceKind.HTTP and (self.expect_status is not None or self.expect_text is not None):
            raise UsageError("expect_status and expect_text are for kind http", hint=f"dbre knows what a {self.kind} answers")
        if self.token is not None and url.scheme not in _WEB:
            raise UsageError("a token is for HTTP", hint="write user and password")
        if self.timeout >= self.interval:
            raise UsageError("the timeout is not shorter than the interval", hint="checks of one service never overlap")
        return self

    @property
    def address(self) -> SplitResult:
        """The parts of the URL. Raises: UsageError, which does not repeat what may hold a password."""
        try:
            url = urlsplit(self.url)
            url.port  # noqa: B018 - reading it checks it
        except ValueError:
            raise UsageError("this is not a URL", hint="write http://host:9090 or tcp://host:22") from None
        if any(ord(one) <= 32 or ord(one) == 127 for one in self.url):
            raise UsageError("the URL holds blanks or control characters", hint="write http://host:9090")
        return url


def _names_once(documents: Any) -> Iterator[Fault]:
    seen = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another service has the name {name}", hint="rename one of them")
        if isinstance(name, str):
            seen.add(name)


STACK: Section[tuple[ServiceDocument, ...]] = Section(
    key="stack",
    shape=tuple[ServiceDocument, ...],
    default=tuple,
    summary="services that are checked: monitoring, brokers, caches, anything that speaks HTTP or TCP",
    faults=_names_once,
)
