"""Traces and metrics of OpenTelemetry, over HTTP."""

from dbre.capabilities.slo.ingest.otlp.asgi import otlp_app
from dbre.capabilities.slo.ingest.otlp.receiver import OtlpReceiver

__all__ = ["OtlpReceiver", "otlp_app"]
