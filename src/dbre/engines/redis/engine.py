"""The engine for Redis and Valkey."""

from collections.abc import Sequence
from datetime import date

from dbre.core.errors import Unsupported
from dbre.core.fleet import Instance
from dbre.engines.redis.backup.port import RedisBackups
from dbre.engines.redis.client_work import RedisClient
from dbre.engines.redis.commands import all_commands
from dbre.engines.redis.config_file import CONFIG_FILE
from dbre.engines.redis.connection import Connection
from dbre.engines.redis.facts import DEFAULT_PORT, Product
from dbre.engines.redis.faults import FAULTS
from dbre.engines.redis.features import FEATURES
from dbre.engines.redis.grants import grant_script
from dbre.engines.redis.mischief.port import RedisMischief
from dbre.engines.redis.probe import RedisHeartbeat
from dbre.engines.redis.server import RedisServer
from dbre.engines.redis.wire import RedisWire
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Feature, NamedQuery, Verdict
from dbre.ports.forks import ForkPort
from dbre.ports.heartbeat_probe import HeartbeatProbe
from dbre.ports.rejoin import RejoinPort
from dbre.ports.server_process import ServerProcess
from dbre.ports.wire import WirePort

__all__ = ["RedisEngine"]


_PROGRAMS = ("redis-server", "redis-check-rdb", "valkey-server")


class RedisEngine:
    """Implements ``ports.engine.Engine`` with redis-py."""

    name = "redis"
    products = (Product.REDIS.value, Product.VALKEY.value)
    default_port = DEFAULT_PORT

    def connect(self, access: Access) -> RedisServer:
        """A handle on one server process; does no I/O yet."""
        return RedisServer(access)

    def probe(self, access: Access) -> HeartbeatProbe[Connection]:
        """A prober of one server process; does no I/O yet."""
        return HeartbeatProbe(access, heartbeat=RedisHeartbeat(access), faults=FAULTS)

    def client(self, access: Access) -> RedisClient:
        """Clients of one server process, or of what stands before it; does no I/O yet."""
        return RedisClient(access)

    def backups(self, place: Place) -> BackupPort:
        """Copies of the server's files, its log and their recovery."""
        return RedisBackups(place)

    def dumps(self, place: Place) -> BackupPort:
        """Copies as statements or rows, and their recovery."""
        raise Unsupported(f"Redis is not dumped by {place.account.name}")

    def forks(self, place: Place) -> ForkPort:  # noqa: ARG002 - of the protocol
        """Raises: Unsupported: neither its log nor its files name rows as they must be named here."""
        raise Unsupported("lost writes are read from the files of PostgreSQL alone", hint="dbre engine support")

    def wire(self) -> WirePort:
        """The grammar of its protocol, for one who stands between client and server."""
        return RedisWire()

    def host(self, instance: Instance) -> ServerProcess:
        """The process of an instance on its machine. Raises: NoControl where the inventory does not say how to reach it."""
        return ServerProcess(instance, product="Redis", programs=_PROGRAMS, settings_format=CONFIG_FILE)

    def rejoining(self, instance: Instance) -> RejoinPort:
        """Raises: Unsupported: such servers follow again online, or are filled by their upstream."""
        raise Unsupported(
            f"the files of {instance.name} are not brought back to the history of another server: it follows online",
            hint="dbre engine support",
        )

    def mischief(self, access: Access) -> RedisMischief:
        """Faults on purpose on one server process; does no I/O yet."""
        return RedisMischief(access)

    def classify(self, error: BaseException) -> Verdict | None:
        """What a driver's error means; None where it comes neither from redis-py nor from the network."""
        return FAULTS.classify(error)

    def features(self) -> Sequence[Feature]:
        """The rows of the support matrix."""
        return FEATURES

    def queries(self) -> Sequence[NamedQuery]:
        """Every command that the engine may send."""
        return all_commands()

    def end_of_life(self, product: str, version: tuple[int, ...]) -> date | None:  # noqa: ARG002 - the port's signature
        """None: their makers give no dates, but mend a number of versions."""
        return None

    def grants(self, user: str) -> str:
        """The smallest ACL that lets ``user`` do all that the features need. Raises: UsageError for an impossible name."""
        return grant_script(user)
