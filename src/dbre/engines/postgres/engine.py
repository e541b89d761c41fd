"""The PostgreSQL engine."""

from collections.abc import Sequence
from datetime import date

from dbre.core.clock import Clock, SystemClock
from dbre.core.fleet import Instance
from dbre.engines.postgres.backup.asking import ask
from dbre.engines.postgres.backup.port import PostgresBackups
from dbre.engines.postgres.backup.source import read_horizon
from dbre.engines.postgres.client_work import PostgresClient
from dbre.engines.postgres.connection import Connection
from dbre.engines.postgres.dumps.port import PostgresDumps
from dbre.engines.postgres.facts import DEFAULT_PORT, END_OF_LIFE
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.features import FEATURES
from dbre.engines.postgres.forks.fork_point import COMPOSED as FORKS_COMPOSED
from dbre.engines.postgres.forks.port import PostgresForks
from dbre.engines.postgres.forks.row_queries import COMPOSED as LOST_ROWS_COMPOSED
from dbre.engines.postgres.grants import grant_script
from dbre.engines.postgres.host import PostgresHost
from dbre.engines.postgres.integrity_queries import COMPOSED as INTEGRITY_COMPOSED
from dbre.engines.postgres.mischief.held import COMPOSED as MISCHIEF_COMPOSED
from dbre.engines.postgres.mischief.port import PostgresMischief
from dbre.engines.postgres.probe import PostgresHeartbeat
from dbre.engines.postgres.queries import catalog
from dbre.engines.postgres.rejoin.port import PostgresRejoin
from dbre.engines.postgres.server import PostgresServer
from dbre.engines.postgres.setting_changes import COMPOSED
from dbre.engines.postgres.succession import COMPOSED as SUCCESSION_COMPOSED
from dbre.engines.postgres.table_copies import PostgresTableCopies
from dbre.engines.postgres.table_queries import COMPOSED as TABLES_COMPOSED
from dbre.engines.postgres.wire import PostgresWire
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.horizon import WriteHorizon
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Feature, NamedQuery, Verdict
from dbre.ports.forks import ForkPort
from dbre.ports.heartbeat_probe import HeartbeatProbe
from dbre.ports.wire import WirePort

__all__ = ["PostgresEngine"]


class PostgresEngine:
    """Implements ``ports.engine.Engine`` with psycopg 3."""

    name = "postgresql"
    products = ("postgresql",)
    default_port = DEFAULT_PORT

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def connect(self, access: Access) -> PostgresServer:
        """A handle on one server process; does no I/O yet."""
        return PostgresServer(access, clock=self._clock)

    def probe(self, access: Access) -> HeartbeatProbe[Connection]:
        """A prober of one server process; does no I/O yet."""
        return HeartbeatProbe(access, heartbeat=PostgresHeartbeat(access), faults=FAULTS)

    def client(self, access: Access) -> PostgresClient:
        """Clients of one server process, or of what stands before it; does no I/O yet."""
        return PostgresClient(access)

    def backups(self, place: Place) -> BackupPort:
        """Copies of the server's files, its log and their recovery."""
        return PostgresBackups(place)

    def dumps(self, place: Place) -> BackupPort:
        """Copies as statements or rows, and their recovery."""
        return PostgresDumps(place)

    async def write_horizon(self, access: Access) -> WriteHorizon:
        """Which transactions the rows of a server hold (``ports.backup.horizon``). Raises: Unreachable, Denied."""
        return await ask(access, read_horizon, what="backup")

    def table_copies(self) -> PostgresTableCopies:
        """Rows of tables between two servers (``ports.backup.tables``)."""
        return PostgresTableCopies()

    def forks(self, place: Place) -> ForkPort:
        """What servers wrote after their history had been left behind."""
        return PostgresForks(place)

    def wire(self) -> WirePort:
        """The grammar of its protocol, for one who stands between client and server."""
        return PostgresWire()

    def mischief(self, access: Access) -> PostgresMischief:
        """Faults on purpose on one server process; does no I/O yet."""
        return PostgresMischief(access)

    def host(self, instance: Instance) -> PostgresHost:
        """The process of an instance on its machine. Raises: NoControl where the inventory does not say how to reach it."""
        return PostgresHost(instance)

    def rejoining(self, instance: Instance) -> PostgresRejoin:
        """The files of a stopped instance that is to follow again. Raises: NoControl."""
        return PostgresRejoin(instance)

    def classify(self, error: BaseException) -> Verdict | None:
        """What a driver's error means; None where it comes neither from psycopg nor from the network."""
        return FAULTS.classify(error)

    def features(self) -> Sequence[Feature]:
        """The rows of the support matrix."""
        return FEATURES

    def queries(self) -> Sequence[NamedQuery]:
        """Every statement that the engine may send."""
        return (
            *catalog().queries,
            *COMPOSED,
            *INTEGRITY_COMPOSED,
            *TABLES_COMPOSED,
            *FORKS_COMPOSED,
            *LOST_ROWS_COMPOSED,
            *MISCHIEF_COMPOSED,
            *SUCCESSION_COMPOSED,
        )

    def end_of_life(self, product: str, version: tuple[int, ...]) -> date | None:  # noqa: ARG002 - the engine has one product
        """When the version gets its last minor release."""
        return END_OF_LIFE.get(version[0]) if version else None

    def grants(self, user: str) -> str:
        """The smallest script that lets ``user`` do all that the features need. Raises: UsageError for an impossible name."""
        return grant_script(user)
