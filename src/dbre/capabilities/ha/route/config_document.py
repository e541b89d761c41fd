"""The keys ``routes`` and ``clients`` of a cluster in the section ``ha``."""

from datetime import timedelta
from typing import Annotated, Literal, Protocol, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document, Duration, FilePath, Name, SecretReference, between
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode

__all__ = [
    "ClientDocument",
    "Clients",
    "DnsDocument",
    "HaproxyDocument",
    "LibpqDocument",
    "PgBouncerDocument",
    "Route53Document",
    "RouteDocument",
    "Routes",
]


def _place(text: str) -> str:
    Address.parse(text, default_port=1)
    return text


_Place = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_place)]
_Names = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(min_length=1, max_length=100)]
_Domain = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_*]([A-Za-z0-9_.*-]*[A-Za-z0-9_])?\.?$")]


class PgBouncerDocument(Document):
    """One PgBouncer."""

    address: _Place = Field(description="of its admin console: host:port")
    user: str = Field(min_length=1, max_length=200, description="who stands in its admin_users")
    password: SecretReference | None = Field(None, description="of this user")
    tls: TlsMode = Field(TlsMode.PREFER, description="how the console is reached; as sslmode of libpq")
    tls_ca_file: FilePath | None = Field(None, description="authorities that vouch for it; default the system's")
    databases: _Names = Field(description="of PgBouncer, which lead to the primary")
    databases_file: FilePath | None = Field(
        None, description="of this machine, which pgbouncer.ini includes; default: another route turns where they lead"
    )


class HaproxyDocument(Document):
    """One backend of one HAProxy."""

    socket: FilePath | None = Field(None, description="its stats socket with level admin; or address")
    address: _Place | None = Field(None, description="its stats socket over TCP: host:port; or socket")
    backend: str = Field(min_length=1, max_length=200, description="whose servers are the instances")
    frontend: _Place | None = Field(
        None, description="where clients come in, host:port: by which they are known not to go around it"
    )
    health_checked: bool = Field(False, description="whether its health checks find the primary, and nothing is to be turned")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.socket is None) == (self.address is None):
            raise UsageError("either socket or address", hint="write socket: /run/haproxy/admin.sock")
        return self


class _RecordDocument(Document):
    record: _Domain = Field(description="the name by which clients find the primary")
    type: Literal["A", "AAAA", "CNAME"] = Field("A", description="of the record; one of `A`, `AAAA`, `CNAME`")
    ttl: Annotated[Duration, between("0s", "1d")] = Field(
        timedelta(seconds=5), description="how long clients may keep it while the primary may change"
    )
    targets: dict[Name, Annotated[str, Field(min_length=1, max_length=253)]] = Field(
        {}, description="what the record says for an instance, where that is not its address"
    )
    resolvers: tuple[_Place, ...] = Field((), max_length=50, description="which are asked what they say: host:port")


class DnsDocument(_RecordDocument):
    """One record of a zone that takes dynamic updates (RFC 2136) signed by TSIG."""

    zone: _Domain = Field(description="which holds the record")
    server: _Place = Field(description="which takes its updates: host:port")
    key_name: str = Field(min_length=1, max_length=253, description="name of the TSIG key")
    key: SecretReference = Field(description="the TSIG key, in base64")
    key_algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        "hmac-sha256", description="of the key; one of `hmac-sha256`, `hmac-sha384`, `hmac-sha512`"
    )


class Route53Document(_RecordDocument):
    """One record of a hosted zone of Route 53."""

    zone_id: str = Field(pattern=r"^[A-Z0-9]{1,32}$", description="of the hosted zone")
    region: str = Field("us-east-1", max_length=60, description="the region")
    endpoint: str | None = Field(None, max_length=500, description="URL of a service other than AWS")
    access_key: SecretReference | None = Field(None, description="default: what boto3 finds by itself")
    secret_key: SecretReference | None = Field(None, description="goes with access_key")

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise UsageError("access_key and secret_key go together", hint="write both, or neither")
        return self


class LibpqDocument(Document):
    """Clients that know all hosts and look for the one that lets them write."""

    dsn: SecretReference = Field(description="their connection string")


class RouteDocument(Document):
    """One way by which clients reach the primary: exactly one of the kinds."""

    name: Name = Field(description="unique within the cluster")
    pgbouncer: PgBouncerDocument | None = Field(None, description="PgBouncer, in which clients wait meanwhile")
    haproxy: HaproxyDocument | None = Field(None, description="HAProxy")
    dns: DnsDocument | None = Field(None, description="a record of a zone that takes dynamic updates")
    route53: Route53Document | None = Field(None, description="a record of Route 53")
    libpq: LibpqDocument | None = Field(None, description="a list of hosts in the clients' connection string")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"a route has one kind, and this has {' and '.join(given) or 'none'}", hint=f"write one of {', '.join(_KINDS)}"
            )
        return self


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Named)


def _each_once(entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
    names = [one.name for one in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is in the list twice", hint="give each a name of its own")
    return entries


_KINDS = ("pgbouncer", "haproxy", "dns", "route53", "libpq")


class ClientDocument(Document):
    """One application, as far as its behaviour at a change of primary goes."""

    name: Name = Field(description="the application")
    dsn: SecretReference | None = Field(None, description="its connection string; its password is never shown")
    retries: bool | None = Field(
        None, description="whether it repeats what failed with 40001, 57P01 or a lost connection; default: not known"
    )
    pool_pre_ping: bool | None = Field(
        None, description="whether its pool tries a connection before it hands it out; default: not known"
    )
    pool_max_lifetime: Duration | None = Field(
        None, description="after which its pool opens a connection anew; default: not known"
    )
    dns_cache: Duration | Literal["forever"] | None = Field(
        None, description="how long it keeps what DNS said, whatever the TTL; default: not known"
    )


Routes = Annotated[tuple[RouteDocument, ...], Field(max_length=50), AfterValidator(_each_once)]
"""Routes in the order in which they are turned, each with a name of its own."""

Clients = Annotated[tuple[ClientDocument, ...], Field(max_length=200), AfterValidator(_each_once)]
"""Applications, each with a name of its own."""
