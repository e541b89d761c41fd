"""Metrics of incidents: how many there are, by state and severity."""

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.repository import count_incidents
from dbre.capabilities.incident.states import IncidentState
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.store import Store
from dbre.core.telemetry import Metrics

__all__ = ["IncidentMetrics"]

_LOOK_SECONDS = 10.0


class IncidentMetrics(Collector):
    """``run`` looks at the store; while that does not answer the numbers are absent, and never 0."""

    def __init__(self, metrics: Metrics, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._counts: Mapping[tuple[IncidentState, Severity], int] | None = None
        metrics.registry.register(self)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Count now."""
        try:
            async with self._store.read() as connection:
                self._counts = await count_incidents(connection)
        except StoreError:
            self._counts = None  # the store's own metrics tell of it; an old number would lie

    def collect(self) -> Iterator[Metric]:
        """The family, for the registry; from memory."""
        family = GaugeMetricFamily("dbre_incidents", "Incidents that the store holds.", labels=["state", "severity"])
        if self._counts is not None:
            for state in IncidentState:
                for severity in Severity:
                    family.add_metric([state.value, severity.value], self._counts.get((state, severity), 0))
        yield family
