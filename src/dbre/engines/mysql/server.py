"""One MySQL or MariaDB server process with its facets."""

from dbre.engines.mysql.activity import MySqlActivity
from dbre.engines.mysql.canary import MySqlCanary
from dbre.engines.mysql.integrity import MySqlIntegrity
from dbre.engines.mysql.link import Link
from dbre.engines.mysql.replication import MySqlReplication
from dbre.engines.mysql.session import MySqlSession
from dbre.engines.mysql.settings import MySqlSettings
from dbre.engines.mysql.statistics import MySqlStatistics
from dbre.engines.mysql.succession import MySqlSuccession
from dbre.engines.mysql.topology import MySqlTopology
from dbre.ports.engine import Access

__all__ = ["MySqlServer"]


class MySqlServer:
    """Implements ``ports.engine.Server``; opens its first connection at the first question."""

    def __init__(self, access: Access) -> None:
        self._link = Link(access)
        self.session = MySqlSession(self._link)
        self.activity = MySqlActivity(self._link)
        self.replication = MySqlReplication(self._link)
        self.topology = MySqlTopology(self._link)
        self.settings = MySqlSettings(self._link)
        self.statistics = MySqlStatistics(self._link)
        self.canary = MySqlCanary(access)
        self.integrity = MySqlIntegrity(access)
        self.succession = MySqlSuccession(access)

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        await self._link.aclose()
