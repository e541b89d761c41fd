"""From the JSON form of OTLP to its messages, so that both forms are read by the same code afterwards."""

from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dbre.capabilities.slo.ingest.otlp.json_documents import MetricsDocument, TracesDocument

__all__ = ["metrics_from_json", "traces_from_json"]

_traces = msgspec.json.Decoder(TracesDocument)
_metrics = msgspec.json.Decoder(MetricsDocument)
_ID_BYTES = {"trace_id": 16, "span_id": 8}
_DOUBLES = frozenset({"double_value", "as_double", "max", "zero_threshold", "explicit_bounds"})
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_INTEGERS = frozenset(
    {
        "int_value",
        "start_time_unix_nano",
        "time_unix_nano",
        "end_time_unix_nano",
        "as_int",
        "count",
        "zero_count",
        "bucket_counts",
    }
)


def traces_from_json(body: bytes) -> ExportTraceServiceRequest:
    """A request to ``/v1/traces``. Raises: ValueError saying what is wrong and where."""
    request = ExportTraceServiceRequest()
    _fill(request, _traces.decode(body))
    return request


def metrics_from_json(body: bytes) -> ExportMetricsServiceRequest:
    """A request to ``/v1/metrics``. Raises: ValueError saying what is wrong and where."""
    request = ExportMetricsServiceRequest()
    _fill(request, _metrics.decode(body))
    return request


def _fill(message: Message, document: msgspec.Struct) -> None:
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            field = getattr(message, name)
            field.SetInParent()
            _fill(field, value)
        elif isinstance(value, tuple):
            _fill_repeated(getattr(message, name), name, value)
        else:
            setattr(message, name, _scalar(name, value))


def _fill_repeated(field: Any, name: str, values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, msgspec.Struct):
            _fill(field.add(), value)
        elif value is None:
            raise ValueError(f"{name}: null is not a number")
        else:
            field.append(_scalar(name, value))


def _scalar(name: str, value: Any) -> Any:
    if name in _ID_BYTES:
        return _identifier(name, value)
    if name in _INTEGERS and isinstance(value, str):
        return _integer(name, value)
    if name in _DOUBLES:
        return _double(name, value)
    return value


def _identifier(name: str, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"{name}: not hexadecimal; OTLP writes ids in hex, never in base64") from error
    if text and len(value) != _ID_BYTES[name]:
        raise ValueError(f"{name}: {len(value)} bytes instead of {_ID_BYTES[name]}")
    return value


def _integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{name}: not a whole number")
    return int(text)


def _double(name: str, value: float | str) -> float:
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value]
        try:
            return float(value)
        except ValueError as error:
            raise ValueError(f"{name}: not a number") from error
    return float(value)
