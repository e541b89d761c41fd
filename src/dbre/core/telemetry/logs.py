"""Logs: one line of JSON each, with the identifiers of what they belong to, and without secrets."""

import json
import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC
from typing import Any, TextIO

import structlog
from opentelemetry import trace

from dbre.core.clock import Clock, SystemClock
from dbre.core.telemetry.document import LogLevel
from dbre.core.telemetry.redaction import clean, redact_text

__all__ = ["configure_logging", "correlated", "logger"]

_FIRST = ("timestamp", "level", "event", "logger")
_NOISY = (
    "alembic",
    "uvicorn",
    "sqlalchemy.engine",
    "aiosqlite",
    "asyncio",
    "httpx",
    "httpcore",
    "psycopg.pool",
    "urllib3",
    "paramiko",  # three lines for each connection to a vault
    "botocore",
)

EventDict = MutableMapping[str, Any]


def logger(name: str) -> Any:
    """A logger whose methods take an event in past-tense snake_case and fields: ``log.info("step_finished", seconds=2.1)``."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def correlated(**identifiers: object) -> Iterator[None]:
    """Put identifiers into every log line of this task, and of tasks that it starts, while the block runs."""
    with structlog.contextvars.bound_contextvars(**identifiers):
        yield


def configure_logging(
    level: LogLevel | str = LogLevel.INFO, stream: TextIO | None = None, *, clock: Clock | None = None
) -> None:
    """Send the logs of dbre and of its libraries to ``stream`` (stderr), one JSON object a line. May be called again."""
    time = clock or SystemClock()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _trace_identifiers,
        _timestamp(time),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, _render],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name("dbre")
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [one for one in root.handlers if one.get_name() == "dbre"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LogLevel(level).value.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _timestamp(clock: Clock) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: EventDict) -> EventDict:
        event["timestamp"] = clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return event

    return add


def _trace_identifiers(_: Any, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(context.trace_id))
        event.setdefault("span_id", trace.format_span_id(context.span_id))
    return event


def _render(_: Any, __: str, event: EventDict) -> str:
    if isinstance(event.get("exception"), str):
        # An array reads better than one line with \n in it. Redacted before: a private key stretches over many lines.
        event["exception"] = redact_text(event["exception"]).splitlines()
    names = [name for name in _FIRST if name in event] + [name for name in event if name not in _FIRST]
    return json.dumps({str(clean(name)): clean(event[name], key=name) for name in names}, ensure_ascii=False)
