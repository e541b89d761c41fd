"""The JSON form of OTLP as types: only the fields that are used, everything else is skipped.

The rules differ from protobuf's own JSON: ids are hex, enums are numbers only, names are lowerCamelCase only, fields that
nobody knows are ignored, numbers of 64 bits are strings or numbers.

Source: OpenTelemetry protocol specification, "JSON Protobuf Encoding".
"""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["MetricsDocument", "TracesDocument"]

_Integer = int | Annotated[str, Meta(max_length=24)] | None
_Number = float | int | Annotated[str, Meta(max_length=32)] | None
_Hex = Annotated[str, Meta(max_length=32)] | None


class AnyValue(Struct, rename="camel", frozen=True):
    """A value of one of many types; arrays and maps are no names of anything and are left out."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Integer = None
    double_value: _Number = None


class KeyValue(Struct, rename="camel", frozen=True):
    """An attribute."""

    key: str = ""
    value: AnyValue | None = None


_Attributes = tuple[KeyValue, ...] | None


class Resource(Struct, rename="camel", frozen=True):
    """Who sends."""

    attributes: _Attributes = None


class Status(Struct, rename="camel", frozen=True):
    """How a span ended."""

    code: int | None = None
    message: str | None = None


class SpanEvent(Struct, rename="camel", frozen=True):
    """What happened in a span: an exception."""

    name: str | None = None
    attributes: _Attributes = None


class Span(Struct, rename="camel", frozen=True):
    """A span."""

    trace_id: _Hex = None
    span_id: _Hex = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: _Integer = None
    end_time_unix_nano: _Integer = None
    attributes: _Attributes = None
    events: tuple[SpanEvent, ...] | None = None
    status: Status | None = None


class ScopeSpans(Struct, rename="camel", frozen=True):
    """Spans of one library."""

    spans: tuple[Span, ...] | None = None


class ResourceSpans(Struct, rename="camel", frozen=True):
    """Spans of one sender."""

    resource: Resource | None = None
    scope_spans: tuple[ScopeSpans, ...] | None = None


class TracesDocument(Struct, rename="camel", frozen=True):
    """The body of a request to ``/v1/traces``."""

    resource_spans: tuple[ResourceSpans, ...] | None = None


class NumberPoint(Struct, rename="camel", frozen=True):
    """A point of a sum."""

    attributes: _Attributes = None
    start_time_unix_nano: _Integer = None
    time_unix_nano: _Integer = None
    as_int: _Integer = None
    as_double: _Number = None
    flags: int | None = None


class HistogramPoint(Struct, rename="camel", frozen=True):
    """A point of a histogram with explicit bounds."""

    attributes: _Attributes = None
    start_time_unix_nano: _Integer = None
    time_unix_nano: _Integer = None
    count: _Integer = None
    bucket_counts: tuple[_Integer, ...] | None = None
    explicit_bounds: tuple[_Number, ...] | None = None
    max: _Number = None
    flags: int | None = None


class Buckets(Struct, rename="camel", frozen=True):
    """One half of an exponential histogram."""

    offset: int | None = None
    bucket_counts: tuple[_Integer, ...] | None = None


class ExponentialPoint(Struct, rename="camel", frozen=True):
    """A point of an exponential histogram."""

    attributes: _Attributes = None
    start_time_unix_nano: _Integer = None
    time_unix_nano: _Integer = None
    count: _Integer = None
    scale: int | None = None
    zero_count: _Integer = None
    zero_threshold: _Number = None
    positive: Buckets | None = None
    negative: Buckets | None = None
    flags: int | None = None


class Sum(Struct, rename="camel", frozen=True):
    """A counter."""

    data_points: tuple[NumberPoint, ...] | None = None
    aggregation_temporality: int | None = None
    is_monotonic: bool | None = None


class Histogram(Struct, rename="camel", frozen=True):
    """A histogram with explicit bounds."""

    data_points: tuple[HistogramPoint, ...] | None = None
    aggregation_temporality: int | None = None


class ExponentialHistogram(Struct, rename="camel", frozen=True):
    """A histogram whose bounds are powers."""

    data_points: tuple[ExponentialPoint, ...] | None = None
    aggregation_temporality: int | None = None


class Metric(Struct, rename="camel", frozen=True):
    """A metric; gauges and summaries count nothing and are left out."""

    name: str | None = None
    unit: str | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None
    exponential_histogram: ExponentialHistogram | None = None


class ScopeMetrics(Struct, rename="camel", frozen=True):
    """Metrics of one library."""

    metrics: tuple[Metric, ...] | None = None


class ResourceMetrics(Struct, rename="camel", frozen=True):
    """Metrics of one sender."""

    resource: Resource | None = None
    scope_metrics: tuple[ScopeMetrics, ...] | None = None


class MetricsDocument(Struct, rename="camel", frozen=True):
    """The body of a request to ``/v1/metrics``."""

    resource_metrics: tuple[ResourceMetrics, ...] | None = None
