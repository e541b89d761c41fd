"""One PostgreSQL server process with its facets."""

from dbre.core.clock import Clock
from dbre.engines.postgres.activity import PostgresActivity
from dbre.engines.postgres.canary import PostgresCanary
from dbre.engines.postgres.integrity import PostgresIntegrity
from dbre.engines.postgres.link import Link
from dbre.engines.postgres.replication import PostgresReplication
from dbre.engines.postgres.session import PostgresSession
from dbre.engines.postgres.settings import PostgresSettings
from dbre.engines.postgres.statistics import PostgresStatistics
from dbre.engines.postgres.succession import PostgresSuccession
from dbre.engines.postgres.topology import PostgresTopology
from dbre.ports.engine import Access

__all__ = ["PostgresServer"]


class PostgresServer:
    """Implements ``ports.engine.Server``; opens its first connection at the first question."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self._link = Link(access, clock=clock)
        self.session = PostgresSession(self._link)
        self.activity = PostgresActivity(self._link)
        self.replication = PostgresReplication(self._link)
        self.topology = PostgresTopology(self._link)
        self.settings = PostgresSettings(self._link)
        self.statistics = PostgresStatistics(self._link)
        self.canary = PostgresCanary(access)
        self.integrity = PostgresIntegrity(self._link)
        self.succession = PostgresSuccession(access)

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        await self.succession.aclose()
        await self._link.aclose()
