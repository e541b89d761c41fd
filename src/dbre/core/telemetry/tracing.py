"""Traces: spans through the OpenTelemetry API, sent to a collector only where the configuration names one."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import trace

from dbre.core.errors import Unsupported
from dbre.core.telemetry.document import TelemetryDocument
from dbre.core.telemetry.redaction import clean

if TYPE_CHECKING:  # the extra [otel]
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["exporting", "tracer"]

SEND_TIMEOUT_SECONDS = 5.0
FLUSH_TIMEOUT_SECONDS = 5.0


def tracer(name: str) -> trace.Tracer:
    """A tracer for one module; its spans cost next to nothing where nobody collects them."""
    return trace.get_tracer(name)


@contextmanager
def exporting(document: TelemetryDocument, *, version: str) -> Iterator[None]:
    """Send the spans of this process to the collector of the configuration, if it names one; the last ones before leaving.

    OpenTelemetry takes a provider once a process, so this is entered once, by the command that runs long.

    Raises: Unsupported where a collector is named and the extra is not installed; SecretUnavailable for its headers.
    """
    if document.otlp_endpoint is None:
        yield
        return
    provider = _provider(document, document.otlp_endpoint, version)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.force_flush(int(FLUSH_TIMEOUT_SECONDS * 1000))
        provider.shutdown()


def _provider(document: TelemetryDocument, endpoint: str, version: str) -> Any:
    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"telemetry.otlp_endpoint is set, but the Python package {error.name} is not installed",
            hint="pip install 'dbre[otel]', or remove telemetry.otlp_endpoint",
        ) from error
    url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + "/v1/traces"
    headers = {name.lower(): reference.fetch() for name, reference in document.otlp_headers.items()}
    exporter = otlp.OTLPSpanExporter(endpoint=url, headers=headers, timeout=SEND_TIMEOUT_SECONDS)
    resource = resources.Resource.create({"service.name": document.service_name, "service.version": version})
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(_Redacting(exporter)))
    return provider


class _Redacting:
    """A ``SpanExporter`` that takes secrets out of attributes and recorded exceptions before another sends them."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[ReadableSpan]") -> Any:
        """Send the spans, cleaned."""
        return self._exporter.export([_cleaned(span) for span in spans])

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)


def _cleaned(span: "ReadableSpan") -> "ReadableSpan":
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    status = trace.Status(span.status.status_code, str(clean(span.status.description)) if span.status.description else None)
    cleaned: ReadableSpan = sdk.ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[sdk.Event(event.name, _attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    return cleaned


def _attributes(attributes: Any) -> dict[str, Any]:
    return {key: clean(value, key=key) for key, value in (attributes or {}).items()}
