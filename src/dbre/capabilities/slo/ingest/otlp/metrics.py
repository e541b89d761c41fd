"""From data points to events: each bucket stands for as many as it counts, each as slow as its upper bound."""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
)

from dbre.capabilities.slo.ingest.otlp.attributes import SLO_ATTRIBUTE, AttributeTable, NamesWanted, texts_of
from dbre.capabilities.slo.ingest.otlp.batch import Batch, BatchBuilder, Event
from dbre.capabilities.slo.ingest.otlp.cumulative import LastPoint, StreamMemory
from dbre.capabilities.slo.ingest.otlp.judging import judge
from dbre.capabilities.slo.ingest.otlp.points import BadPoint, Tally, read_exponential, read_histogram, read_number
from dbre.capabilities.slo.ingest.otlp.remembered import Remembered

__all__ = ["METRIC_NAME", "MetricReader"]

METRIC_NAME = "metric.name"
"""The attribute that a point has besides its own; an SLO that counts points names it in its match."""
_DELTA, _CUMULATIVE = 1, 2
_NO_RECORDED_VALUE = 1
_MILLISECONDS = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6, "min": 60_000.0}
_NANOSECONDS = 1_000_000  # of a millisecond

_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


@dataclass(frozen=True, slots=True)
class _Read:
    """A point and what is needed to count it."""

    point: _Point
    tally: Callable[[], Tally]
    temporality: int


class MetricReader:
    """Reads requests to ``/v1/metrics``: monotonic sums and both kinds of histogram, as differences or since a start."""

    def __init__(self, names_wanted: NamesWanted, known: Remembered, streams: StreamMemory) -> None:
        self._names_wanted = names_wanted
        self._known = known
        self._streams = streams

    def read(self, request: ExportMetricsServiceRequest) -> Batch:
        """The events of a request. Raises: OtlpRefusal where it holds too many."""
        names = self._names_wanted()
        builder = BatchBuilder(AttributeTable(names if METRIC_NAME in names else frozenset()))
        held, staged = set[bytes](), dict[bytes, LastPoint]()
        for of_resource in request.resource_metrics:
            identity = _identity(of_resource)
            shared = texts_of(of_resource.resource.attributes, builder.table.wanted)
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    named = {**shared, METRIC_NAME: metric.name}
                    stream = identity + metric.name.encode()
                    for read in _points_of(metric):
                        builder.count()
                        self._add(builder, metric, read, shared=named, stream=stream, held=held, staged=staged)
        builder.keys = list(held)
        return builder.finish(lambda: self._streams.commit(staged))

    def _add(
        self,
        builder: BatchBuilder,
        metric: Metric,
        read: _Read,
        *,
        shared: dict[str, str],
        stream: bytes,
        held: set[bytes],
        staged: dict[bytes, LastPoint],
    ) -> None:
        point = read.point
        if point.flags & _NO_RECORDED_VALUE:
            return
        attributes = {**shared, **texts_of(point.attributes, builder.table.wanted)}
        slo, index = attributes.get(SLO_ATTRIBUTE), builder.table.index(attributes)
        if slo is None and index is None:
            return
        try:
            tally = _checked(read)
        except BadPoint as error:
            builder.reject(f"{metric.name[:100]}: {error}")
            return
        key = _stream_key(stream, point)
        if read.temporality == _CUMULATIVE:
            last = LastPoint(point.start_time_unix_nano, point.time_unix_nano, tally)
            added = self._streams.difference(key, last, staged)
        else:
            key += struct.pack("<QQ", point.start_time_unix_nano, point.time_unix_nano)
            added = None if key in self._known or key in held else tally
            held.add(key)
        if added is not None:
            outcome = judge(attributes, has_failed=False)
            at_ms = point.time_unix_nano // _NANOSECONDS
            factor = _MILLISECONDS.get(metric.unit)
            for duration_ms, weight in _buckets(added, factor):
                builder.add(Event(at_ms, outcome, duration_ms, weight, slo, index))


def _points_of(metric: Metric) -> Iterator[_Read]:
    kind = metric.WhichOneof("data")
    if kind == "sum" and metric.sum.is_monotonic:
        for number in metric.sum.data_points:
            yield _Read(number, partial(read_number, number), metric.sum.aggregation_temporality)
    elif kind == "histogram":
        for one in metric.histogram.data_points:
            yield _Read(one, partial(read_histogram, one), metric.histogram.aggregation_temporality)
    elif kind == "exponential_histogram":
        temporality = metric.exponential_histogram.aggregation_temporality
        for wide in metric.exponential_histogram.data_points:
            yield _Read(wide, partial(read_exponential, wide), temporality)


def _checked(read: _Read) -> Tally:
    if read.temporality not in (_DELTA, _CUMULATIVE):
        raise BadPoint("its aggregation temporality is neither delta nor cumulative")
    if read.point.time_unix_nano <= 0:
        raise BadPoint("a point without a time")
    return read.tally()


def _buckets(tally: Tally, factor: float | None) -> Iterator[tuple[float | None, int]]:
    """Duration in milliseconds and number of events; the bucket without an upper bound is slower than any limit."""
    if tally.zeros:
        yield (None if factor is None else 0.0), tally.zeros
    for bucket, count in tally.counts.items():
        bound = tally.upper_bound(bucket)
        yield (None if factor is None or bound is None else _finite(bound * factor)), count


_SLOWEST_MS = 86_400_000.0  # a day: whatever lies behind the last bound of a histogram


def _finite(duration_ms: float) -> float:
    return max(min(duration_ms, _SLOWEST_MS), 0.0) if not math.isnan(duration_ms) else _SLOWEST_MS


def _identity(of_resource: ResourceMetrics) -> bytes:
    return of_resource.resource.SerializeToString(deterministic=True) + b"\x00"


def _stream_key(stream: bytes, point: _Point) -> bytes:
    attributes = sorted(one.SerializeToString(deterministic=True) for one in point.attributes)
    return blake2b(stream + b"\x00" + b"\x00".join(attributes), digest_size=16).digest()
