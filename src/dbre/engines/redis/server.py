"""One Redis or Valkey server process with its facets."""

from dbre.engines.redis.activity import RedisActivity
from dbre.engines.redis.canary import RedisCanary
from dbre.engines.redis.integrity import RedisIntegrity
from dbre.engines.redis.link import Link
from dbre.engines.redis.replication import RedisReplication
from dbre.engines.redis.session import RedisSession
from dbre.engines.redis.settings import RedisSettings
from dbre.engines.redis.statistics import RedisStatistics
from dbre.engines.redis.succession import RedisSuccession
from dbre.engines.redis.topology import RedisTopology
from dbre.ports.engine import Access

__all__ = ["RedisServer"]


class RedisServer:
    """Implements ``ports.engine.Server``; opens its first connection at the first question."""

    def __init__(self, access: Access) -> None:
        self._link = Link(access)
        self.session = RedisSession(self._link)
        self.activity = RedisActivity(self._link)
        self.replication = RedisReplication(self._link)
        self.topology = RedisTopology(self._link)
        self.settings = RedisSettings(self._link)
        self.statistics = RedisStatistics(self._link)
        self.canary = RedisCanary(access)
        self.integrity = RedisIntegrity(access)
        self.succession = RedisSuccession(access)

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        await self._link.aclose()
