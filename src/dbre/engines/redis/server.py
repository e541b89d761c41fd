"""One Redis or Valkey server process with its facets."""

from dbre.core.errors import Unsupported
from dbre.engines.redis.activity import RedisActivity
from dbre.engines.redis.link import Link
from dbre.engines.redis.replication import RedisReplication
from dbre.engines.redis.session import RedisSession
from dbre.engines.redis.settings import RedisSettings
from dbre.engines.redis.statistics import RedisStatistics
from dbre.ports.canary import CanaryPort
from dbre.ports.engine import Access
from dbre.ports.integrity import IntegrityPort

__all__ = ["RedisServer"]


class RedisServer:
    """Implements ``ports.engine.Server``; opens its first connection at the first question."""

    def __init__(self, access: Access) -> None:
        self._link = Link(access)
        self.session = RedisSession(self._link)
        self.activity = RedisActivity(self._link)
        self.replication = RedisReplication(self._link)
        self.settings = RedisSettings(self._link)
        self.statistics = RedisStatistics(self._link)

    @property
    def canary(self) -> CanaryPort:
        """The witnessed row that proves recovery."""
        raise Unsupported("Redis has no canary")

    @property
    def integrity(self) -> IntegrityPort:
        """Rows, pages and indexes: digests and checks."""
        raise Unsupported("Redis has no integrity checks")

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        await self._link.aclose()
