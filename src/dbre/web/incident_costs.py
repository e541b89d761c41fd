"""What incidents cost error budgets: as it was kept at their end, or measured now, at most twice a minute whoever looks."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from dbre.capabilities.incident.costs import costs_of, measure
from dbre.capabilities.incident.impact import ImpactSource, Spent
from dbre.capabilities.incident.model import Incident
from dbre.core.clock import Clock
from dbre.core.store import Store
from dbre.core.telemetry import logger

__all__ = ["RecentCosts"]

_KEPT = timedelta(seconds=30)
_SECONDS = 5.0
_MOST = 500  # incidents that go on at once; the oldest measurement is forgotten first
_log = logger(__name__)


class RecentCosts:
    """Measuring reads whole windows of slots: too much for each page that renews itself every ten seconds."""

    def __init__(self, store: Store, impact: ImpactSource, clock: Clock) -> None:
        self.impact = impact
        self._store = store
        self._clock = clock
        self._measured: dict[UUID, tuple[datetime, Sequence[Spent]]] = {}
        self._measuring = asyncio.Lock()

    async def of(self, incident: Incident) -> Sequence[Spent] | None:
        """What it cost by now, the dearest first; None where that cannot be said in time."""
        if not incident.is_open:
            async with self._store.read() as connection:
                return (await costs_of(connection, [incident.id])).get(incident.id, [])
        try:
            async with asyncio.timeout(_SECONDS), self._measuring:
                return await self._of_open(incident)
        except TimeoutError:
            _log.warning("incident_cost_not_measured", incident=incident.name, seconds=_SECONDS)
            return None

    async def _of_open(self, incident: Incident) -> Sequence[Spent]:
        now, known = self._clock.now(), self._measured.get(incident.id)
        if known is not None and now - known[0] < _KEPT:
            return known[1]
        found = await measure(self._store, self.impact, replace(incident, resolved_at=None), now=now)
        self._measured.pop(incident.id, None)
        while len(self._measured) >= _MOST:
            del self._measured[next(iter(self._measured))]
        self._measured[incident.id] = now, found
        return found
