"""The inventory: environment, cluster, instance, database; and how commands reach them."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbre.core.control import Control
from dbre.core.errors import UsageError
from dbre.core.secrets import Secret
from dbre.core.selector import Selector
from dbre.core.text import closest, printable, quoted

__all__ = [
    "Address",
    "Cluster",
    "Endpoint",
    "EndpointPurpose",
    "Fleet",
    "Instance",
    "Selector",
    "TlsMode",
    "UnknownCluster",
    "UnknownInstance",
    "is_host",
]

_HOST = re.compile(
    r"/[^\0]*|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?"
)


class UnknownCluster(UsageError):
    """The configuration has no cluster of that name."""

    code = "fleet.unknown_cluster"


class UnknownInstance(UsageError):
    """The configuration has no instance of that name."""

    code = "fleet.unknown_instance"


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server process listens: a host name, an IP address or a socket directory, and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int) -> "Address":
        """Read ``host``, ``host:port``, ``[2001:db8::1]:port`` or ``/socket/directory:port``.

        >>> Address.parse("[::1]:6432", default_port=5432)
        Address(host='::1', port=6432)

        Raises: UsageError where the text is anything else.
        """
        match = re.fullmatch(r"\[(?P<bracketed>[^\]]*)\](?::(?P<port>[0-9]+))?", text)
        match = match or re.fullmatch(r"(?P<bare>/.*?|[^:]*)(?::(?P<port>[0-9]+))?", text, re.DOTALL)
        host = (match.groupdict().get("bracketed") or match.groupdict().get("bare") or "") if match else ""
        port = match["port"] if match else None
        hint = "write host:port, [2001:db8::1]:port or /socket/directory:port"
        if not is_host(host):
            raise UsageError(f"{quoted(text, limit=200)} is not an address", hint=hint)
        if port is not None and not (len(port) <= 5 and 0 < int(port) < 65_536):
            raise UsageError(f"port {port[:20]} lies outside 1..65535", hint=hint)
        return cls(host, int(port) if port else default_port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("/") else self.host
        return f"{host}:{self.port}"


def is_host(text: str) -> bool:
    """Whether the text is a host name, an IP address or an absolute socket directory by its form; nothing is looked up."""
    if ":" in text and not text.startswith("/"):
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            return False
        return printable(text) == text
    return bool(_HOST.fullmatch(text)) and printable(text) == text


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
    control: Control | None = None  # None: dbre neither starts nor stops it


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
    replication_user: str | None = None  # whose login a follower uses at its upstream; None: as another follower does
    replication_password: Secret | None = None

    def endpoint(self, purpose: EndpointPurpose) -> Endpoint | None:
        """The endpoint for a purpose, or None where the cluster has none."""
        return next((one for one in self.endpoints if one.purpose is purpose), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All clusters that the configuration names, in its order."""

    clusters: tuple[Cluster, ...] = ()

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name. Raises: UnknownCluster with a did-you-mean."""
        found = next((cluster for cluster in self.clusters if cluster.name == name), None)
        if found is None:
            hint = _instead(name, [cluster.name for cluster in self.clusters], "clusters", "fleet: clusters:")
            raise UnknownCluster(f"no cluster is named {quoted(name, limit=100)}", hint=hint, context={"cluster": name})
        return found

    def instance(self, name: str) -> Instance:
        """The instance of that name, in whatever cluster. Raises: UnknownInstance with a did-you-mean."""
        instances = {instance.name: instance for cluster in self.clusters for instance in cluster.instances}
        if name not in instances:
            hint = _instead(name, instances, "instances", "fleet: clusters:")
            raise UnknownInstance(f"no instance is named {quoted(name, limit=100)}", hint=hint, context={"instance": name})
        return instances[name]

    def select(self, selector: Selector) -> tuple[Cluster, ...]:
        """The clusters whose labels the selector allows, in the order of the configuration; possibly none."""
        return tuple(cluster for cluster in self.clusters if selector.allows(cluster.labels))

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of the environments that hold clusters, in the order of the configuration."""
        return tuple(dict.fromkeys(cluster.environment for cluster in self.clusters))


def _instead(name: str, known: Iterable[str], kind: str, key: str) -> str:
    names = list(known)
    near = closest(name, names)
    if near:
        return f"did you mean {near}?"
    if not names:
        return f"the configuration has no {kind}: name another file with --config, or add them under {key}"
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more (dbre fleet list)" if len(names) > 10 else "")
    return f"the {kind} are {shown}"
