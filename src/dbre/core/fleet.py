"""The inventory: environment, cluster, instance, database; and how commands reach them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbre.core.secrets import Secret

__all__ = ["Address", "Cluster", "Endpoint", "EndpointPurpose", "Fleet", "Instance", "TlsMode"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server process listens: a host name, an IP address or a socket directory, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class EndpointPurpose(StrEnum):
    """What clients want from an endpoint: a primary that takes writes, a primary to read from, or a replica."""

    WRITE = "write"
    READ = "read"
    REPLICA = "replica"


class TlsMode(StrEnum):
    """How a connection is encrypted; the words of libpq's ``sslmode`` that are safe to offer."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How clients reach a cluster for one purpose: candidates in the order in which they are tried."""

    cluster: str
    purpose: EndpointPurpose
    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        return f"{self.cluster}/{self.purpose}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One server process of a cluster; ``name`` is unique in the fleet."""

    name: str
    cluster: str
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One replicated data set. ``labels`` always hold ``environment``, ``cluster`` and ``engine`` besides the user's own."""

    name: str
    environment: str
    engine: str  # the name of an engine: postgresql, mysql, redis
    instances: tuple[Instance, ...]
    endpoints: tuple[Endpoint, ...]  # one a purpose; replica only where the cluster has more than one instance
    databases: tuple[str, ...]  # the first one is what probes connect to
    user: str | None
    password: Secret | None
    tls: TlsMode
    tls_ca_file: str | None
    labels: Mapping[str, str] = field(default_factory=dict)

    def endpoint(self, purpose: EndpointPurpose) -> Endpoint | None:
        """The endpoint for a purpose, or None where the cluster has none."""
        return next((one for one in self.endpoints if one.purpose is purpose), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All clusters that the configuration names, in its order."""

    clusters: tuple[Cluster, ...] = ()
