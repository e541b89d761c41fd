"""Every request as a span, a sample and a correlation id; plain ASGI around everything, so that no answer slips past."""

import re
import time

from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbre.core.clock import Clock
from dbre.core.ids import uuid7
from dbre.core.telemetry import Metrics, correlated, tracer

__all__ = ["RequestMetrics", "RequestTracking", "route_template"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_NO_ROUTE = "none"  # whatever path was tried: a stranger must not be able to make new series

_tracer = tracer(__name__)


class RequestMetrics:
    """Requests by route template and class of status; strangers cannot add to the labels."""

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.counter("http_requests", "Requests by their outcome.", ["method", "route", "status"])
        self._seconds = metrics.histogram(
            "http_request_seconds", "From the request's head to the end of the answer.", ["route"], buckets=_BOUNDS
        )

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._count.labels(method if method in _METHODS else "other", route, f"{status // 100}xx").inc()
        self._seconds.labels(route).observe(seconds)


class RequestTracking:
    """Wraps the whole application.

    A sane ``X-Request-ID`` of the client is kept, any other is replaced; the answer carries it, and so does every log line
    that the request causes. A ``traceparent`` of the client makes the span a child of the client's.
    """

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = self._request_id(headers.get("x-request-id", ""))
        parent = TraceContextTextMapPropagator().extract({"traceparent": headers.get("traceparent", "")})
        method = scope["method"] if scope["method"] in _METHODS else "other"
        began, status = time.perf_counter(), 500  # an error that nobody turned into an answer

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with (
            correlated(request_id=request_id),
            _tracer.start_as_current_span(f"HTTP {method}", context=parent, kind=SpanKind.SERVER) as span,
        ):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                route = route_template(scope)
                self._metrics.observe(method=method, route=route, status=status, seconds=time.perf_counter() - began)
                _describe(span, method=method, route=route, status=status, request_id=request_id)

    def _request_id(self, given: str) -> str:
        return given if _REQUEST_ID.fullmatch(given) else str(uuid7(self._clock))


def _describe(span: Span, *, method: str, route: str, status: int, request_id: str) -> None:
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "request_id": request_id,
        }
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def route_template(scope: Scope) -> str:
    """The route that served a request, with the names of its parameters instead of their values; ``none`` where none did."""
    own = getattr(scope.get("route"), "path", None)
    path: str = scope["path"]
    if own is not None:
        # A route may not know the prefix under which its router was included. The prefix holds no parameters, and a
        # parameter no slash, so what stands before the route's own segments is the prefix.
        given, segments = path.split("/"), own.split("/")[1:]
        return "/".join(given[: len(given) - len(segments)]) + str(own)
    if scope.get("root_path"):
        return str(scope["root_path"])  # a mounted part, such as /static
    return path if scope.get("endpoint") is not None and not scope.get("path_params") else _NO_ROUTE
