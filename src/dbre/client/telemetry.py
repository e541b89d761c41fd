"""Lets the spans of OpenTelemetry's instrumentation of SQLAlchemy carry the code of the database's error."""

import importlib
from typing import Any

from dbre.client.classification import code_of

__all__ = ["annotate_sqlalchemy"]


def annotate_sqlalchemy() -> None:
    """Set ``db.response.status_code`` and ``error.type`` on the span of every statement that fails, of every engine.

    The instrumentation tells only the text of an error, from which nobody can say whose fault it was. Call it once;
    ``SQLAlchemyInstrumentor`` may come before or after.
    """
    event, engines = importlib.import_module("sqlalchemy.event"), importlib.import_module("sqlalchemy.engine")
    # On the class, since those listeners come first: the instrumentation's own, on each engine, ends the span.
    if not event.contains(engines.Engine, "handle_error", _annotate):
        event.listen(engines.Engine, "handle_error", _annotate)


def _annotate(context: Any) -> None:
    span = getattr(context.execution_context, "_otel_span", None)
    error = context.original_exception
    if span is None or not span.is_recording() or not isinstance(error, BaseException):
        return
    code = code_of(error)
    span.set_attribute("error.type", type(error).__qualname__ if code is None else code[1])
    if code is not None:
        span.set_attribute("db.response.status_code", code[1])
