"""Requests of OpenTelemetry, and an intake that keeps what it is given."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.intake import Acknowledgement
from dbre.capabilities.slo.ingest.otlp import OtlpReceiver
from dbre.core.clock import SystemClock

NAMES = frozenset({"db.system.name", "db.namespace", "service.name", "metric.name"})
SECOND = 1_000_000_000


@dataclass
class KeepingIntake:
    """Makes nothing durable; ``before`` may fail or wait as a real one does."""

    batches: list[EventColumns] = field(default_factory=list)
    before: Callable[[], Any] | None = None

    async def accept(self, columns: EventColumns, *, producer: str, sequence: int | None) -> Acknowledgement:  # noqa: ARG002 - the intake's signature
        if self.before is not None:
            await self.before()
        self.batches.append(columns)
        return Acknowledgement(accepted=len(columns))

    def events(self) -> list[tuple[bool, bool, float | None, int, dict[str, str]]]:
        """Good, valid, duration, weight and attributes of everything that came."""
        found = []
        for one in self.batches:
            for row in range(len(one)):
                index = one.attributes[row]
                attributes = dict(one.attribute_sets[index]) if index is not None else {}
                valid = one.is_valid[row] if one.is_valid is not None else True
                found.append((one.is_good[row], valid, one.duration_ms[row], one.weight[row], attributes))
        return found


def receiver_for(intake: KeepingIntake, names: frozenset[str] = NAMES) -> OtlpReceiver:
    return OtlpReceiver(intake, names_wanted=lambda: names, clock=SystemClock())


def now_nano() -> int:
    return time.time_ns()


def put(attributes: Any, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        one = attributes.add(key=name)
        if isinstance(value, bool):
            one.value.bool_value = value
        elif isinstance(value, int):
            one.value.int_value = value
        else:
            one.value.string_value = str(value)


def traces(*spans: Mapping[str, Any], resource: Mapping[str, object] | None = None) -> ExportTraceServiceRequest:
    """A request; of each span: ``id``, ``attributes``, ``ms``, ``failed``, ``description``, ``exception``."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    put(of_resource.resource.attributes, resource or {"service.name": "shop"})
    scope = of_resource.scope_spans.add()
    for number, span in enumerate(spans, start=1):
        one = scope.spans.add(name=span.get("name", "SELECT"), kind=3)
        one.trace_id, one.span_id = b"\x01" * 16, int(span.get("id", number)).to_bytes(8, "big")
        one.end_time_unix_nano = now_nano()
        one.start_time_unix_nano = one.end_time_unix_nano - int(span.get("ms", 5) * 1_000_000)
        put(one.attributes, span.get("attributes", {"db.system.name": "postgresql", "db.namespace": "app"}))
        if span.get("failed"):
            one.status.code, one.status.message = 2, span.get("description", "")
        if "exception" in span:
            event = one.events.add(name="exception")
            put(event.attributes, {"exception.type": span["exception"], "exception.message": span.get("text", "")})
    return request


def metrics(*found: Metric, resource: Mapping[str, object] | None = None) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    put(of_resource.resource.attributes, resource or {"service.name": "shop"})
    of_resource.scope_metrics.add().metrics.extend(found)
    return request


def histogram(
    counts: list[int], bounds: list[float], *, start: int, at: int, is_delta: bool = True, **attributes: object
) -> Metric:
    metric = Metric(name="db.client.operation.duration", unit="s")
    metric.histogram.aggregation_temporality = 1 if is_delta else 2
    point = metric.histogram.data_points.add(start_time_unix_nano=start, time_unix_nano=at, count=sum(counts))
    point.bucket_counts.extend(counts)
    point.explicit_bounds.extend(bounds)
    put(point.attributes, {"db.system.name": "postgresql", **attributes})
    return metric


def total(value: int | float, *, start: int, at: int, is_delta: bool = False, **attributes: object) -> Metric:
    metric = Metric(name="orders", unit="1")
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = (1 if is_delta else 2), True
    point = metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=at)
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    put(point.attributes, {"service.name": "shop", **attributes})
    return metric
