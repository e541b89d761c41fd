"""An engine: how dbre reaches one kind of database server, and what it can ask there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

from dbre.core.fleet import Address, Cluster, Instance, TlsMode
from dbre.core.secrets import Secret
from dbre.ports.activity import ActivityPort
from dbre.ports.canary import CanaryPort
from dbre.ports.client_work import ClientPort
from dbre.ports.integrity import IntegrityPort
from dbre.ports.mischief import MischiefPort
from dbre.ports.probe import ProbePort
from dbre.ports.replication import ReplicationPort
from dbre.ports.session import SessionPort
from dbre.ports.settings import SettingsPort
from dbre.ports.statistics import StatisticsPort
from dbre.ports.succession import HostPort, SuccessionPort
from dbre.ports.topology import TopologyPort
from dbre.ports.wire import WirePort

if TYPE_CHECKING:  # it needs Access from here
    from dbre.ports.backup.engine import BackupPort
    from dbre.ports.backup.model import Place
    from dbre.ports.forks import ForkPort
    from dbre.ports.rejoin import RejoinPort

__all__ = [
    "Access",
    "Blame",
    "Engine",
    "EngineRegistry",
    "Facet",
    "Feature",
    "NamedQuery",
    "Parameter",
    "Server",
    "Timeouts",
    "Verdict",
]


class Facet(StrEnum):
    """The facets of an engine; the support matrix has one block for each."""

    SESSION = "session"
    PROBE = "probe"
    ACTIVITY = "activity"
    REPLICATION = "replication"
    TOPOLOGY = "topology"
    SETTINGS = "settings"
    STATISTICS = "statistics"
    BACKUP = "backup"
    CANARY = "canary"
    CLIENT = "client"
    FORK = "fork"
    INTEGRITY = "integrity"
    MISCHIEF = "mischief"
    WIRE = "wire"
    SUCCESSION = "succession"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of one connection, in seconds; each is enforced by the client and, where the server can, by the server."""

    connect_seconds: float = 2.0
    statement_seconds: float = 5.0
    lock_seconds: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """All that is needed to log in to one server process."""

    address: Address
    user: str | None
    password: Secret | None
    database: str | None
    tls: TlsMode = TlsMode.PREFER
    tls_ca_file: str | None = None
    timeouts: Timeouts = Timeouts()
    application_name: str = "dbre"
    max_connections: int = 2  # upper bound of the pool
    is_reader: bool = False  # act as one who may read all data and no more, where the server has such a role

    @classmethod
    def to(cls, cluster: Cluster, address: Address, *, timeouts: Timeouts = Timeouts(), application_name: str = "dbre") -> Self:
        """Access to one address of a cluster with the cluster's credentials."""
        return cls(
            address=address,
            user=cluster.user,
            password=cluster.password,
            database=cluster.databases[0] if cluster.databases else None,
            tls=cluster.tls,
            tls_ca_file=cluster.tls_ca_file,
            timeouts=timeouts,
            application_name=application_name,
        )

    def session_name(self, what: str) -> str:
        """What a session calls itself on the server: ``dbre:<what>`` unless the access says more than the bare ``dbre``."""
        given = self.application_name
        return f"dbre:{what}" if given == "dbre" else given if given.startswith("dbre:") else f"dbre:{given}"


class Blame(StrEnum):
    """Who an error speaks against (slo: what burns): the service, the caller, or nobody yet."""

    BAD = "bad"  # the database failed its client
    EXCLUDED = "excluded"  # the client's own doing: syntax, constraint, cancel; not a valid event


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an engine says about an error that a driver raised."""

    blame: Blame
    code: str | None  # SQLSTATE, MySQL error number, Redis error word; None: the network, not the server, spoke
    reason: str  # one short line, control characters removed, no secret
    retryable: bool  # the same statement may succeed if it is sent again


class Server(Protocol):
    """One server process, reached through a bounded pool that opens lazily. Facets raise ``Unsupported`` where lacking.

    Every method of every facet ends within the access's timeouts and raises ``Unreachable`` (network, time),
    ``Denied`` (login, privilege) or ``Unsupported`` (version, privilege), each with the instance's address in the message.
    """

    @property
    def session(self) -> SessionPort:
        """Who is there: product, version, role."""
        ...

    @property
    def activity(self) -> ActivityPort:
        """What sessions are doing now."""
        ...

    @property
    def replication(self) -> ReplicationPort:
        """Who follows whom, and how far behind."""
        ...

    @property
    def topology(self) -> TopologyPort:
        """Itself and its neighbours, with positions that can be compared."""
        ...

    @property
    def settings(self) -> SettingsPort:
        """Server parameters."""
        ...

    @property
    def statistics(self) -> StatisticsPort:
        """Cumulative counters of the server for the exporter."""
        ...

    @property
    def canary(self) -> CanaryPort:
        """The witnessed row that proves recovery."""
        ...

    @property
    def integrity(self) -> IntegrityPort:
        """Rows, pages and indexes: digests and checks."""
        ...

    @property
    def succession(self) -> SuccessionPort:
        """Giving up the place of the primary, taking it over, following another."""
        ...

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One row of the support matrix."""

    facet: Facet
    name: str  # what a person would look for: "replay lag in seconds"
    versions: str  # ">=15", "10.11-11", "*"
    privilege: str  # what the login needs: "CONNECT", "pg_monitor"
    products: tuple[str, ...]  # of the engine's products, those that have it
    note: str = ""
    is_opt_in: bool = False  # it changes the server: its privilege is no part of the grants for watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a named query, in the order of its placeholders."""

    name: str
    type: str  # as the server calls it: integer, text


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuery:
    """One statement that dbre may ever send, as its SQL file's header declares it."""

    name: str
    facet: Facet
    versions: str
    privilege: str
    text: str
    source: str  # "postgres/sql/activity.sql:12"
    parameters: tuple[Parameter, ...] = ()
    products: tuple[str, ...] = ()  # empty: all of the engine's products


class Engine(Protocol):
    """One kind of database server."""

    @property
    def name(self) -> str:
        """Name in configuration: ``postgresql``, ``mysql``, ``redis``."""
        ...

    @property
    def products(self) -> tuple[str, ...]:
        """Products that speak its protocol: ``("mysql", "mariadb")``."""
        ...

    @property
    def default_port(self) -> int:
        """The registered port."""
        ...

    def connect(self, access: Access) -> Server:
        """A handle on one server process; does no I/O yet."""
        ...

    def probe(self, access: Access) -> ProbePort:
        """A prober of one server process with a connection of its own, outside any pool; does no I/O yet."""
        ...

    def client(self, access: Access) -> ClientPort:
        """Clients of one server process, or of what stands before it; does no I/O yet. Raises: Unsupported."""
        ...

    def backups(self, place: "Place") -> "BackupPort":
        """Copies of the server's files, its log and their recovery. Raises: Unsupported."""
        ...

    def dumps(self, place: "Place") -> "BackupPort":
        """Copies as statements or rows, and their recovery. Raises: Unsupported."""
        ...

    def forks(self, place: "Place") -> "ForkPort":
        """What servers wrote after their history had been left behind. Raises: Unsupported."""
        ...

    def wire(self) -> WirePort:
        """The grammar of its protocol, for one who stands between client and server. Raises: Unsupported."""
        ...

    def mischief(self, access: Access) -> MischiefPort:
        """Faults on purpose on one server process; does no I/O yet."""
        ...

    def host(self, instance: Instance) -> HostPort:
        """The process of an instance on its machine. Raises: NoControl where the inventory does not say how to reach it."""
        ...

    def rejoining(self, instance: Instance) -> "RejoinPort":
        """The files of a stopped instance that is to follow again. Raises: Unsupported where it follows online; NoControl."""
        ...

    def classify(self, error: BaseException) -> Verdict | None:
        """What a driver's error means; None where the error is not from this engine's driver or network."""
        ...

    def features(self) -> Sequence[Feature]:
        """The rows of the support matrix."""
        ...

    def queries(self) -> Sequence[NamedQuery]:
        """Every statement that the engine may send."""
        ...

    def end_of_life(self, product: str, version: tuple[int, ...]) -> date | None:
        """When the makers of a product stop mending this version; None where they give no date, or we know none."""
        ...

    def grants(self, user: str) -> str:
        """The smallest script that lets ``user`` do all that the features need; ``user`` is quoted as an identifier."""
        ...


class EngineRegistry(Protocol):
    """The engines that this installation knows; ``app`` builds it."""

    def names(self) -> Sequence[str]:
        """Names in alphabetical order, installed or not."""
        ...

    def get(self, name: str) -> Engine:
        """The engine of that name. Raises: UsageError if unknown, Unsupported naming the extra that installs its driver."""
        ...
