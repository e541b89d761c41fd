"""One PostgreSQL server process with its facets."""

from dbre.core.clock import Clock
from dbre.core.errors import Unsupported
from dbre.engines.postgres.activity import PostgresActivity
from dbre.engines.postgres.link import Link
from dbre.engines.postgres.replication import PostgresReplication
from dbre.engines.postgres.session import PostgresSession
from dbre.engines.postgres.settings import PostgresSettings
from dbre.engines.postgres.statistics import PostgresStatistics
from dbre.ports.canary import CanaryPort
from dbre.ports.engine import Access
from dbre.ports.integrity import IntegrityPort

__all__ = ["PostgresServer"]


class PostgresServer:
    """Implements ``ports.engine.Server``; opens its first connection at the first question."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self._link = Link(access, clock=clock)
        self.session = PostgresSession(self._link)
        self.activity = PostgresActivity(self._link)
        self.replication = PostgresReplication(self._link)
        self.settings = PostgresSettings(self._link)
        self.statistics = PostgresStatistics(self._link)

    @property
    def canary(self) -> CanaryPort:
        """The witnessed row that proves recovery."""
        raise Unsupported("PostgreSQL has no canary")

    @property
    def integrity(self) -> IntegrityPort:
        """Rows, pages and indexes: digests and checks."""
        raise Unsupported("PostgreSQL has no integrity checks")

    async def aclose(self) -> None:
        """Close every connection; never raises for a dead server."""
        await self._link.aclose()
