"""Answers of OTLP, in the form in which the request came."""

import json

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse

from dbre.capabilities.slo.ingest.otlp.receiver import Taken

__all__ = ["error_body", "metrics_body", "traces_body"]

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14}  # google.rpc.Code
_UNKNOWN = 2
_LONGEST = 1_000


def traces_body(taken: Taken, *, is_json: bool) -> bytes:
    """The answer to ``/v1/traces``; empty where everything was taken."""
    if is_json:
        return _json("rejectedSpans", taken)
    partial = ExportTracePartialSuccess(rejected_spans=taken.rejected, error_message=taken.message)
    return ExportTraceServiceResponse(partial_success=partial).SerializeToString() if taken.message else b""


def metrics_body(taken: Taken, *, is_json: bool) -> bytes:
    """The answer to ``/v1/metrics``; empty where everything was taken."""
    if is_json:
        return _json("rejectedDataPoints", taken)
    partial = ExportMetricsPartialSuccess(rejected_data_points=taken.rejected, error_message=taken.message)
    return ExportMetricsServiceResponse(partial_success=partial).SerializeToString() if taken.message else b""


def _json(name: str, taken: Taken) -> bytes:
    partial = {"partialSuccess": {name: str(taken.rejected), "errorMessage": taken.message}} if taken.message else {}
    return json.dumps(partial, separators=(",", ":")).encode()


def error_body(status: int, message: str, *, is_json: bool) -> bytes:
    """A ``google.rpc.Status``: field 1 is the code, field 2 the message.

    >>> error_body(400, "no", is_json=False)
    b'\\x08\\x03\\x12\\x02no'
    """
    code, message = _CODES.get(status, _UNKNOWN), message[:_LONGEST]
    if is_json:
        return json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    text = message.encode("utf-8", "replace")
    return b"\x08" + bytes([code]) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
