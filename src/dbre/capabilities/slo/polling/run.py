"""All sources that dbre asks, as one part of the control plane."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.slo.counting import CountSink
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.polling.documents import PROMETHEUS, PrometheusDocument
from dbre.capabilities.slo.polling.prometheus import PrometheusPoller
from dbre.capabilities.slo.polling.sql import SqlPoller
from dbre.capabilities.slo.polling.state import PolledSource
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Fleet
from dbre.core.telemetry import Metrics
from dbre.ports.engine import EngineRegistry

__all__ = ["Polling", "SourceGround"]

_METRICS_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGround:
    """What sources stand on."""

    fleet: Fleet
    engines: EngineRegistry
    sink: CountSink
    clock: Clock
    metrics: Metrics | None = None


class Polling:
    """Asks every Prometheus and every query that an SLO names. Raises: UsageError for a server that is not configured."""

    def __init__(self, config: Config, definitions: Sequence[Definition], ground: SourceGround) -> None:
        self._clock = ground.clock
        servers: tuple[PrometheusDocument, ...] = config.get(PROMETHEUS)
        fleet, sink, clock, metrics = ground.fleet, ground.sink, ground.clock, ground.metrics
        self._prometheus = PrometheusPoller(definitions, fleet, servers, sink=sink, clock=clock)
        self._sql = SqlPoller(definitions, fleet, engines=ground.engines, sink=sink, clock=clock)
        self._gauges = None
        if metrics is not None and self.sources:
            labels = ["slo", "cluster", "kind"]
            self._gauges = (
                metrics.gauge("slo_source_up", "1 where the source of an SLO could be asked, 0 where not.", labels),
                metrics.gauge("slo_source_behind_seconds", "How long ago the last moment is that was counted.", labels),
            )

    @property
    def sources(self) -> tuple[PolledSource, ...]:
        """How each is doing."""
        return (*self._prometheus.sources, *self._sql.sources)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prometheus.run())
            group.create_task(self._sql.run())
            while True:
                self._show()
                await self._clock.sleep(_METRICS_SECONDS)

    def _show(self) -> None:
        if self._gauges is None:
            return
        up, behind = self._gauges
        for one in self.sources:
            labels = (one.slo, one.cluster, one.kind)
            up.labels(*labels).set(one.error is None)
            if one.counted_until is not None:
                behind.labels(*labels).set((self._clock.now() - one.counted_until).total_seconds())
