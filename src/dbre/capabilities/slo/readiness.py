"""Keeps a worker ready to say what is left of error budgets: a long history takes longer to read than a gate waits."""

import structlog
from sqlalchemy import or_, select

from dbre.capabilities.slo.recent_statuses import RecentStatuses
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.target_labels import cluster_of
from dbre.core.store import Store

__all__ = ["Readiness"]

_EVERY_SECONDS = 5.0
_FOLLOWED_SECONDS = 60.0  # far less than the batches are kept

_log = structlog.get_logger(__name__)


class Readiness:
    """Reads the SLOs of the clusters whose operations wait or run in a zone, and follows those that were ever read."""

    def __init__(self, store: Store, statuses: RecentStatuses, clock: Clock, *, zone: str | None) -> None:
        self._store = store
        self._statuses = statuses
        self._clock = clock
        self._zone = zone
        self._read: set[str] = set()

    async def run(self) -> None:
        """Until cancelled; trouble is left to the gates, which tell of it."""
        while True:
            await self.tick()
            await self._clock.sleep(_EVERY_SECONDS)

    async def tick(self) -> None:
        """What ``run`` does every five seconds."""
        try:
            unread = [one for one in await self._clusters() if one not in self._read]
        except StoreError as error:
            _log.warning("slo_readiness_failed", code=error.code, error=error.message)
            return
        for cluster in dict.fromkeys([*unread, *self._statuses.unread_for(_FOLLOWED_SECONDS)]):
            try:
                await self._statuses.of(cluster)
            except Exception as error:  # noqa: BLE001 - not even a defect here may end a worker; the gate meets it too, and holds
                _log.warning("slo_readiness_failed", cluster=cluster, error=f"{type(error).__name__}: {error}")
            else:
                self._read.add(cluster)

    async def _clusters(self) -> list[str]:
        column = tables.operation.c
        statement = select(column.target_key).distinct().where(or_(tables.QUEUED, tables.BEGUN), column.zone == self._zone)
        async with self._store.read() as connection:
            targets = (await connection.execute(statement)).scalars().all()
        return sorted({name for one in targets if (name := cluster_of(one)) is not None})
