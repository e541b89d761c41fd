"""The ``telemetry`` section of ``dbre.yaml``."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from dbre.core.config import Document, Name, SecretReference, Section
from dbre.core.errors import UsageError

__all__ = ["TELEMETRY", "LogLevel", "TelemetryDocument"]


class LogLevel(StrEnum):
    """What is logged: everything of this weight and above."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError("expected a URL of http or https", hint="write http://collector.example:4318")
    if parts.username is not None or parts.password is not None:
        raise UsageError("a URL here holds no user and password", hint="put them into otlp_headers")
    return text


class TelemetryDocument(Document):
    """Logs go to stderr always; traces go to a collector where one is named."""

    log_level: LogLevel = LogLevel.INFO
    service_name: Name = Field(default="dbre", description="`service.name` of the traces.")
    otlp_endpoint: Annotated[str, AfterValidator(_url)] | None = Field(
        default=None,
        description="OTLP collector (HTTP, protobuf); /v1/traces is added where the URL has no path. Needs dbre[otel].",
    )
    otlp_headers: dict[Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]{1,64}$")], SecretReference] = Field(
        default={}, description="Headers of each request to the collector, such as authorization."
    )


TELEMETRY: Section[TelemetryDocument] = Section(
    "telemetry", TelemetryDocument, TelemetryDocument, "Logs and traces of dbre itself."
)
