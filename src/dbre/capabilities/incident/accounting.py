"""Puts the measured cost of an incident into the store when it has ended."""

from uuid import UUID

from dbre.capabilities.incident.costs import keep_costs, measure
from dbre.capabilities.incident.errors import NoSuchIncident
from dbre.capabilities.incident.impact import ImpactSource
from dbre.capabilities.incident.repository import find_incident
from dbre.core.clock import Clock
from dbre.core.events import Event, Subscription
from dbre.core.store import Store

__all__ = ["Accounting"]


class Accounting:
    """Handles the ends of incidents."""

    def __init__(self, store: Store, impact: ImpactSource, clock: Clock) -> None:
        self._store = store
        self._impact = impact
        self._clock = clock

    def subscription(self) -> Subscription:
        """What the control plane delivers to it."""
        return Subscription(name="incident-costs", kinds=("incident.resolved",), handler=self, timeout_seconds=60.0)

    async def __call__(self, event: Event) -> None:
        """Measure and keep what the incident cost."""
        try:
            async with self._store.read() as connection:
                incident = await find_incident(connection, UUID(str(event.data.get("incident_id"))))
        except (ValueError, NoSuchIncident):
            return
        now = self._clock.now()
        costs = await measure(self._store, self._impact, incident, now=now)
        await self._store.grouped(lambda connection: keep_costs(connection, incident.id, costs, at=now))
