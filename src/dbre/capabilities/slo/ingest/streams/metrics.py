"""How reading streams does, as metrics."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.slo.ingest.streams.reading import StreamReading
from dbre.core.telemetry import Metrics

__all__ = ["StreamMetrics"]


class StreamMetrics(Collector):
    """The streams, for the registry; from memory."""

    def __init__(self, metrics: Metrics, streams: Sequence[StreamReading]) -> None:
        self._streams = streams
        metrics.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        connected = GaugeMetricFamily("dbre_stream_connected", "1 while the stream is read.", labels=["stream"])
        events = CounterMetricFamily("dbre_stream_events", "Events that were read, by outcome.", labels=["stream", "outcome"])
        aside = CounterMetricFamily(
            "dbre_stream_messages_set_aside", "Messages that could not be read and went to the dead letter.", labels=["stream"]
        )
        waiting = GaugeMetricFamily("dbre_stream_unstored_messages", "Messages read and not stored yet.", labels=["stream"])
        for one in self._streams:
            counters = one.source.counters
            connected.add_metric([one.name], float(one.source.is_connected))
            events.add_metric([one.name, "accepted"], one.events)
            events.add_metric([one.name, "rejected"], sum(counter.rejected for counter in counters))
            aside.add_metric([one.name], one.source.poisoned)
            waiting.add_metric([one.name], sum(max(counter.done - counter.stored, 0) for counter in counters))
        yield from (connected, events, aside, waiting)
