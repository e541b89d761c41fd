"""The engine for MySQL and MariaDB."""

from collections.abc import Sequence
from datetime import date

from dbre.core.errors import Unsupported
from dbre.core.fleet import Instance
from dbre.engines.mysql.backup.port import MariaDbBackups
from dbre.engines.mysql.client_work import MySqlClient
from dbre.engines.mysql.connection import Connection
from dbre.engines.mysql.dumps.port import MySqlDumps
from dbre.engines.mysql.facts import DEFAULT_PORT, END_OF_LIFE, Product
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.features import FEATURES
from dbre.engines.mysql.grants import grant_script
from dbre.engines.mysql.host import MariaDbHost
from dbre.engines.mysql.integrity_queries import COMPOSED as INTEGRITY_COMPOSED
from dbre.engines.mysql.mischief.port import MySqlMischief
from dbre.engines.mysql.mischief.talking import COMPOSED as MISCHIEF_COMPOSED
from dbre.engines.mysql.probe import MySqlHeartbeat
from dbre.engines.mysql.queries import catalog
from dbre.engines.mysql.rejoin.port import MariaDbRejoin
from dbre.engines.mysql.server import MySqlServer
from dbre.engines.mysql.setting_changes import COMPOSED
from dbre.engines.mysql.succession import COMPOSED as SUCCESSION_COMPOSED
from dbre.engines.mysql.wire import MySqlWire
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Feature, NamedQuery, Verdict
from dbre.ports.forks import ForkPort
from dbre.ports.heartbeat_probe import HeartbeatProbe
from dbre.ports.rejoin import RejoinPort
from dbre.ports.succession import HostPort
from dbre.ports.wire import WirePort

__all__ = ["MySqlEngine"]


class MySqlEngine:
    """Implements ``ports.engine.Engine`` with asyncmy."""

    name = "mysql"
    products = (Product.MYSQL.value, Product.MARIADB.value)
    default_port = DEFAULT_PORT

    def connect(self, access: Access) -> MySqlServer:
        """A handle on one server process; does no I/O yet."""
        return MySqlServer(access)

    def probe(self, access: Access) -> HeartbeatProbe[Connection]:
        """A prober of one server process; does no I/O yet."""
        return HeartbeatProbe(access, heartbeat=MySqlHeartbeat(access), faults=FAULTS)

    def client(self, access: Access) -> MySqlClient:
        """Clients of one server process, or of what stands before it; does no I/O yet."""
        return MySqlClient(access)

    def backups(self, place: Place) -> BackupPort:
        """Copies of the files of a MariaDB server, its binary log and their recovery; a survey says no to MySQL."""
        return MariaDbBackups(place)

    def dumps(self, place: Place) -> BackupPort:
        """Copies of a MariaDB server as statements, and their recovery; a survey says no to MySQL."""
        return MySqlDumps(place)

    def forks(self, place: Place) -> ForkPort:  # noqa: ARG002 - of the protocol
        """Raises: Unsupported: neither its log nor its files name rows as they must be named here."""
        raise Unsupported("lost writes are read from the files of PostgreSQL alone", hint="dbre engine support")

    def wire(self) -> WirePort:
        """The grammar of its protocol, for one who stands between client and server."""
        return MySqlWire()

    def host(self, instance: Instance) -> HostPort:
        """The process of an instance on its machine. Raises: NoControl where the inventory does not say how to reach it."""
        return MariaDbHost(instance)

    def rejoining(self, instance: Instance) -> RejoinPort:
        """The files of an instance on its machine. Raises: NoControl where the inventory does not say how to reach it."""
        return MariaDbRejoin(instance)

    def mischief(self, access: Access) -> MySqlMischief:
        """Faults on purpose on one server process; does no I/O yet."""
        return MySqlMischief(access)

    def classify(self, error: BaseException) -> Verdict | None:
        """What a driver's error means; None where it comes neither from asyncmy nor from the network."""
        return FAULTS.classify(error)

    def features(self) -> Sequence[Feature]:
        """The rows of the support matrix."""
        return FEATURES

    def queries(self) -> Sequence[NamedQuery]:
        """Every statement that the engine may send."""
        return (*catalog().queries, *COMPOSED, *INTEGRITY_COMPOSED, *SUCCESSION_COMPOSED, *MISCHIEF_COMPOSED)

    def end_of_life(self, product: str, version: tuple[int, ...]) -> date | None:
        """When a long-term version stops being mended."""
        return next((day for (name, start), day in END_OF_LIFE.items() if name == product and version[:2] == start), None)

    def grants(self, user: str) -> str:
        """The smallest script that lets ``user`` do all that the features need. Raises: UsageError for an impossible name."""
        return grant_script(user)
