"""Takes requests of OTLP and answers when their events are durable."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.intake import Acknowledgement
from dbre.capabilities.slo.ingest.otlp.attributes import NamesWanted
from dbre.capabilities.slo.ingest.otlp.batch import Batch
from dbre.capabilities.slo.ingest.otlp.cumulative import StreamMemory
from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.otlp.json_decoding import metrics_from_json, traces_from_json
from dbre.capabilities.slo.ingest.otlp.limits import MAX_SPANS_REMEMBERED, MAX_STREAMS
from dbre.capabilities.slo.ingest.otlp.metrics import MetricReader
from dbre.capabilities.slo.ingest.otlp.remembered import Remembered
from dbre.capabilities.slo.ingest.otlp.spans import SpanReader
from dbre.core.clock import Clock
from dbre.core.text import printable

__all__ = ["EventIntake", "OtlpReceiver", "Taken"]

_REASONS_KEPT = 3
_LARGE_BYTES = 32_768  # from here on a body is read beside the event loop, so that the prober keeps its schedule

Request = TypeVar("Request", ExportTraceServiceRequest, ExportMetricsServiceRequest)


class EventIntake(Protocol):
    """Where events are made durable and counted."""

    async def accept(self, columns: EventColumns, *, producer: str, sequence: int | None) -> Acknowledgement:
        """Return once the events are durable."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What a sender is told: how many spans or points were left out, and why."""

    rejected: int
    message: str


class OtlpReceiver:
    """Decodes, recognises what was sent before, and hands events to the intake.

    Metrics are taken one request at a time, because what a point adds depends on the point before.
    """

    def __init__(self, intake: EventIntake, *, names_wanted: NamesWanted, clock: Clock) -> None:
        self._intake = intake
        self._known = Remembered(MAX_SPANS_REMEMBERED)
        since_nano = int(clock.now().timestamp()) * 1_000_000_000
        self._streams = StreamMemory(since_nano=since_nano, limit=MAX_STREAMS)
        self._spans = SpanReader(names_wanted, self._known)
        self._points = MetricReader(names_wanted, self._known, self._streams)
        self._reading = asyncio.Lock()
        self._counting = asyncio.Lock()

    async def traces(self, body: bytes, *, is_json: bool, producer: str) -> Taken:
        """Spans. Raises: OtlpRefusal, and what the intake raises."""
        decode = traces_from_json if is_json else ExportTraceServiceRequest.FromString
        with ExitStack() as held:
            async with self._reading:  # one at a time: the next one sees what this one holds
                batch = await _read(body, decode, self._spans.read)
                held.enter_context(self._known.pending(batch.keys))
            return await self._store(batch, producer)

    async def metrics(self, body: bytes, *, is_json: bool, producer: str) -> Taken:
        """Data points. Raises: OtlpRefusal, and what the intake raises."""
        decode = metrics_from_json if is_json else ExportMetricsServiceRequest.FromString
        async with self._counting:
            batch = await _read(body, decode, self._points.read)
            with self._known.pending(batch.keys):
                return await self._store(batch, producer)

    async def _store(self, batch: Batch, producer: str) -> Taken:
        rejected, message = batch.rejected, batch.message
        if len(batch.columns):
            taken = await self._intake.accept(batch.columns, producer=producer, sequence=None)
            rejected += taken.rejected
            reasons = dict.fromkeys(one.reason for one in taken.rejections[:_REASONS_KEPT])
            message = "; ".join([*([message] if message else []), *map(printable, reasons)])
        batch.settle()
        return Taken(min(rejected, batch.seen), message)  # a histogram's point is several events


async def _read(body: bytes, decode: Callable[[bytes], Request], read: Callable[[Request], Batch]) -> Batch:
    if len(body) < _LARGE_BYTES:
        return _decode_and_read(body, decode, read)
    return await asyncio.to_thread(_decode_and_read, body, decode, read)


def _decode_and_read(body: bytes, decode: Callable[[bytes], Request], read: Callable[[Request], Batch]) -> Batch:
    try:
        request = decode(body)
    except DecodeError as error:
        raise OtlpRefusal(400, "the body is no protocol buffer of this request") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors and say where
        raise OtlpRefusal(400, f"the body is no JSON of this request: {str(error)[:300]}") from error
    return read(request)
