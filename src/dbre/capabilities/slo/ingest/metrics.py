"""How taking in events does, as metrics."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.slo.ingest.intake import Intake
from dbre.core.telemetry import Metrics

__all__ = ["IngestMetrics"]


class IngestMetrics(Collector):
    """The health of the intake, for the registry; from memory."""

    def __init__(self, metrics: Metrics, intake: Intake) -> None:
        self._intake = intake
        metrics.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        health = self._intake.health
        events = CounterMetricFamily("dbre_ingest_events", "Events that producers sent, by outcome.", labels=["outcome"])
        events.add_metric(["accepted"], health.events - health.unmatched_events)
        events.add_metric(["unmatched"], health.unmatched_events)
        events.add_metric(["rejected"], health.rejected_events)
        yield events
        yield CounterMetricFamily(
            "dbre_ingest_duplicate_batches", "Batches that were sent again and not counted again.", health.duplicate_batches
        )
        yield GaugeMetricFamily("dbre_ingest_queued_bytes", "Records that wait for the disk.", health.queued_bytes)
        yield GaugeMetricFamily("dbre_ingest_damaged_bytes", "Bytes of the log that were damaged.", health.damaged_bytes)
        yield GaugeMetricFamily("dbre_ingest_ready", "1 while events are taken in.", float(health.is_ready))
