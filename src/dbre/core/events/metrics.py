"""Metrics of events: what waits in memory, what waits for receivers, and how attempts to deliver end."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events.buffer import EventBuffer
from dbre.core.events.model import DeliveryState
from dbre.core.events.tables import delivery
from dbre.core.store import Store
from dbre.core.telemetry import Metrics

__all__ = ["EventMetrics"]

_LOOK_SECONDS = 5.0
_OUTCOMES = ("delivered", "failed", "dead")
_SHOWN = (DeliveryState.PENDING, DeliveryState.DEAD)


class EventMetrics(Collector):
    """Counts attempts as they end; ``run`` looks at the store for what is pending and dead.

    Labels are the subscriptions of the configuration, whatever else the store remembers.
    """

    def __init__(self, metrics: Metrics, *, buffer: EventBuffer, subscriptions: Sequence[str]) -> None:
        self._buffer = buffer
        self._subscriptions = tuple(subscriptions)
        self._backlog: Mapping[tuple[str, str], int] | None = None  # None: not looked yet, or the store does not answer
        self._attempts = metrics.counter(
            "event_delivery_attempts", "Attempts to deliver an event by how they ended.", ["subscription", "outcome"]
        )
        for name in self._subscriptions:
            for outcome in _OUTCOMES:
                self._attempts.labels(name, outcome)  # a series that begins at 1 hides its first increase
        metrics.registry.register(self)

    def attempted(self, subscription: str, outcome: str) -> None:
        """Count one attempt."""
        self._attempts.labels(subscription, outcome).inc()

    async def run(self, store: Store, clock: Clock) -> None:
        """Look at the backlog until cancelled."""
        while True:
            try:
                self._backlog = await self._read(store)
            except StoreError:
                self._backlog = None  # the store's own part of the control plane tells of it; an old number would lie
            await clock.sleep(_LOOK_SECONDS)

    async def _read(self, store: Store) -> Mapping[tuple[str, str], int]:
        statement = (
            select(delivery.c.subscription, delivery.c.state, func.count().label("number"))
            .where(delivery.c.state.in_(_SHOWN), delivery.c.subscription.in_(self._subscriptions))
            .group_by(delivery.c.subscription, delivery.c.state)
        )
        async with store.read() as connection:
            return {(row.subscription, row.state): row.number for row in await connection.execute(statement)}

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry; from memory."""
        yield GaugeMetricFamily(
            "dbre_events_unsaved", "Events that are only in memory because the store takes none.", self._buffer.waiting_count
        )
        yield CounterMetricFamily(
            "dbre_events_lost", "Events given up because the store was away for too long.", self._buffer.dropped_count
        )
        backlog = GaugeMetricFamily(
            "dbre_event_deliveries",
            "Deliveries that wait for their receiver or were given up.",
            labels=["subscription", "state"],
        )
        for name in self._subscriptions if self._backlog is not None else ():
            for state in _SHOWN:
                backlog.add_metric([name, str(state)], (self._backlog or {}).get((name, str(state)), 0))
        yield backlog
