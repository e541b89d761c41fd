"""What dbre says of itself: logs, traces and metrics."""

from dbre.core.telemetry.document import TELEMETRY, LogLevel, TelemetryDocument
from dbre.core.telemetry.logs import configure_logging, correlated, logger
from dbre.core.telemetry.metrics import Metrics
from dbre.core.telemetry.redaction import clean, redact_text
from dbre.core.telemetry.tracing import exporting, tracer

__all__ = [
    "TELEMETRY",
    "LogLevel",
    "Metrics",
    "TelemetryDocument",
    "clean",
    "configure_logging",
    "correlated",
    "exporting",
    "logger",
    "redact_text",
    "tracer",
]
