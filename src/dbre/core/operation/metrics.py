"""Metrics of operations: how many are under way or wait, by state, and whether the broker takes what is sent to workers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation.counting import open_counts
from dbre.core.operation.states import FINAL, OperationState
from dbre.core.store import Store
from dbre.core.telemetry import Metrics

__all__ = ["BrokerSender", "OperationMetrics"]

_LOOK_SECONDS = 5.0
_SHOWN = tuple(state for state in OperationState if state not in FINAL)


class BrokerSender(Protocol):
    """What a dispatcher that sends to a broker says of itself."""

    @property
    def sent_count(self) -> int:
        """Messages that the broker took."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the last message could not be sent; None: it could."""
        ...


class OperationMetrics(Collector):
    """``run`` looks at the store; what is not known is absent, and never 0."""

    def __init__(self, metrics: Metrics, *, broker: BrokerSender | None = None) -> None:
        self._broker = broker
        self._open: Mapping[tuple[OperationState, bool], int] | None = None
        metrics.registry.register(self)

    async def run(self, store: Store, clock: Clock) -> None:
        """Look until cancelled."""
        while True:
            try:
                self._open = await self._read(store)
            except StoreError:
                self._open = None  # the store's own part of the control plane tells of it; an old number would lie
            await clock.sleep(_LOOK_SECONDS)

    async def _read(self, store: Store) -> Mapping[tuple[OperationState, bool], int]:
        found: Counter[tuple[OperationState, bool]] = Counter()
        async with store.read() as connection:
            for one in await open_counts(connection):
                found[one.state, one.is_held] += one.count
        return found

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry; from memory."""
        under_way = GaugeMetricFamily(
            "dbre_operations", "Operations that have not ended; held ones wait for a gate.", labels=["state", "held"]
        )
        for state in _SHOWN if self._open is not None else ():
            for is_held in (False, True):
                under_way.add_metric([state.value, str(is_held).lower()], (self._open or {}).get((state, is_held), 0))
        yield under_way
        if self._broker is not None:
            yield GaugeMetricFamily(
                "dbre_broker_up", "Whether the broker took the last message to workers.", int(self._broker.problem is None)
            )
            yield CounterMetricFamily(
                "dbre_broker_messages_sent", "Messages to workers that the broker took.", self._broker.sent_count
            )
