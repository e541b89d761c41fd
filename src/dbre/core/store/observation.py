"""Each write transaction as a span and as a duration, for those who watch dbre itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbre.core.telemetry import tracer

__all__ = ["WriteObserver", "observed"]

WriteObserver = Callable[[str, float], None]
"""Takes the outcome of a write transaction, ``committed`` or ``failed``, and its seconds. It must not raise."""

_tracer = tracer(__name__)


@contextmanager
def observed(observer: WriteObserver | None) -> Iterator[None]:
    """Time one write transaction, from asking for the write lock to the answer to the commit."""
    began, outcome = time.perf_counter(), "failed"
    try:
        with _tracer.start_as_current_span("store.write"):
            yield
        outcome = "committed"
    finally:
        if observer is not None:
            observer(outcome, time.perf_counter() - began)
