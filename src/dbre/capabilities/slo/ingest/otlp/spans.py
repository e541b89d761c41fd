"""From spans to events: one each, at the time when it ended."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from dbre.capabilities.slo.ingest.otlp.attributes import SLO_ATTRIBUTE, AttributeTable, NamesWanted, texts_of
from dbre.capabilities.slo.ingest.otlp.batch import Batch, BatchBuilder, Event
from dbre.capabilities.slo.ingest.otlp.judging import judge
from dbre.capabilities.slo.ingest.otlp.remembered import Remembered

__all__ = ["SpanReader"]

_KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS_ERROR = 2
_NANOSECONDS = 1_000_000  # of a millisecond


class SpanReader:
    """Reads requests to ``/v1/traces``. Spans that were counted already are left out: senders repeat after a timeout."""

    def __init__(self, names_wanted: NamesWanted, known: Remembered) -> None:
        self._names_wanted = names_wanted
        self._known = known

    def read(self, request: ExportTraceServiceRequest) -> Batch:
        """The events of a request. Raises: OtlpRefusal where it holds too many."""
        builder = BatchBuilder(AttributeTable(self._names_wanted()))
        held = set[bytes]()
        for of_resource in request.resource_spans:
            shared = texts_of(of_resource.resource.attributes, builder.table.wanted)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    builder.count()
                    self._add(builder, span, shared, held)
        builder.keys = list(held)
        return builder.finish(_nothing)

    def _add(self, builder: BatchBuilder, span: Span, shared: dict[str, str], held: set[bytes]) -> None:
        problem = _problem(span)
        if problem is not None:
            builder.reject(problem)
            return
        key = span.trace_id + span.span_id
        if key in self._known or key in held:
            return
        attributes = {
            **shared,
            **texts_of(span.attributes, builder.table.wanted),
            "span.name": span.name,
            "span.kind": _KINDS.get(span.kind, ""),
        }
        slo, index = attributes.get(SLO_ATTRIBUTE), builder.table.index(attributes)
        if slo is None and index is None:
            return
        held.add(key)
        has_failed = span.status.code == _STATUS_ERROR
        outcome = judge(
            attributes,
            has_failed=has_failed,
            exceptions=_exceptions(span) if has_failed else (),
            description=span.status.message,
        )
        duration_ms = (span.end_time_unix_nano - span.start_time_unix_nano) / _NANOSECONDS
        builder.add(Event(span.end_time_unix_nano // _NANOSECONDS, outcome, duration_ms, 1, slo, index))


def _problem(span: Span) -> str | None:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "a span without a valid trace id (16 bytes)"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "a span without a valid span id (8 bytes)"
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        return "a span that ends before it starts, or has no times"
    return None


def _exceptions(span: Span) -> list[tuple[str, str]]:
    found = []
    for event in span.events:
        if event.name == "exception":
            told = texts_of(event.attributes)
            found.append((told.get("exception.type", ""), told.get("exception.message", "")))
    return found


def _nothing() -> None:
    """Spans leave nothing behind but their keys."""
