"""``/metrics`` from memory: collectors run in the background, a scrape never waits for a database."""

import asyncio
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from dbre.capabilities.observe.collection import InstanceCollection
from dbre.capabilities.observe.exposition import Exposition, Source
from dbre.capabilities.observe.model import ExporterDocument
from dbre.capabilities.observe.probe_metrics import ProbeMetrics
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["Exporter"]

_OWN_SECONDS = 5.0  # how often the registries of this process are read


class Exporter:
    """Collects the statistics of all instances of a fleet and renders them with the metrics of this process.

    ``registries`` are read every five seconds. ``probe_metrics`` is for the prober, so that its metrics are on the same page.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        engines: EngineRegistry,
        clock: Clock,
        settings: ExporterDocument,
        registries: Sequence[CollectorRegistry] = (),
    ) -> None:
        self._clock = clock
        self._registries = tuple(registries)
        self._exposition = Exposition(clock)
        self.probe_metrics = ProbeMetrics(self._exposition)
        clusters = fleet.clusters if settings.enabled else ()
        self._collections = [
            InstanceCollection(
                cluster=cluster,
                instance=instance,
                engine=engines.get(cluster.engine),
                clock=clock,
                settings=settings,
                exposition=self._exposition,
            )
            for cluster in clusters
            for instance in cluster.instances
        ]

    async def run(self) -> None:
        """Collect until cancelled; ends within two seconds, also with servers that hang."""
        async with asyncio.TaskGroup() as group:
            for collection in self._collections:
                group.create_task(collection.run())
            group.create_task(self._read_registries())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type for an ``Accept`` header; memory only, at any time, also before ``run``."""
        return self._exposition.render(accept)

    async def _read_registries(self) -> None:
        while True:
            for place, registry in enumerate(self._registries):
                for metric in registry.collect():
                    self._exposition.put(Source("process", f"{place}/{metric.name}"), [metric])
                    await asyncio.sleep(0)  # encoding a large family takes milliseconds: slots that are due go in between
            await self._clock.sleep(_OWN_SECONDS)
