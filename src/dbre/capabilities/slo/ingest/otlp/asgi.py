"""OTLP over HTTP as a plain ASGI application: ``POST /v1/traces`` and ``POST /v1/metrics``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from dbre.capabilities.slo.ingest.errors import BadBatch, IntakeUnavailable
from dbre.capabilities.slo.ingest.otlp.answers import error_body, metrics_body, traces_body
from dbre.capabilities.slo.ingest.otlp.bodies import Receive, decompress, read_body
from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.otlp.receiver import OtlpReceiver
from dbre.core.text import printable

__all__ = ["Admit", "AsgiApp", "otlp_app"]

Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
Admit = Callable[[str], Awaitable[str | None]]
"""From the token of a producer to its name; None where nobody has that token."""

_PROTOBUF, _JSON = b"application/x-protobuf", b"application/json"
_SIGNALS = frozenset({"traces", "metrics"})

_log = structlog.get_logger(__name__)


def otlp_app(receiver: OtlpReceiver, admit: Admit) -> AsgiApp:
    """The application; every request carries ``Authorization: Bearer TOKEN`` of a producer.

    Logs are answered with 404: they hold no events of an SLO, and a sender should know that nobody keeps them.
    """

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        is_json = kind == _JSON
        extra: list[tuple[bytes, bytes]] = []
        try:
            status, body = 200, await _take(receiver, admit, scope, headers, kind, receive)
        except OtlpRefusal as refusal:
            status, body = refusal.status, error_body(refusal.status, refusal.message, is_json=is_json)
            if refusal.retry_after_seconds is not None:
                extra.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
            if status in (408, 413):
                extra.append((b"connection", b"close"))  # the rest of the body is not read
        except ConnectionError:
            return
        answered = _JSON if is_json else _PROTOBUF
        sent = [(b"content-type", answered), (b"content-length", str(len(body)).encode()), *extra]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    return app


async def _take(
    receiver: OtlpReceiver,
    admit: Admit,
    scope: Mapping[str, Any],
    headers: Mapping[bytes, bytes],
    kind: bytes,
    receive: Receive,
) -> bytes:
    signal = str(scope["path"]).rpartition("/v1/")[2]
    if signal not in _SIGNALS:
        raise OtlpRefusal(404, f"dbre takes traces and metrics, at /v1/traces and /v1/metrics; not {signal[:50]}")
    if scope["method"] != "POST":
        raise OtlpRefusal(405, "OTLP is sent with POST")
    if kind not in (_PROTOBUF, _JSON):
        raise OtlpRefusal(415, "the content type is neither application/x-protobuf nor application/json")
    try:
        producer = await _admitted(admit, headers)
        body = decompress(await read_body(receive, headers), headers.get(b"content-encoding", b"").strip().lower())
        is_json = kind == _JSON
        if signal == "traces":
            return traces_body(await receiver.traces(body, is_json=is_json, producer=producer), is_json=is_json)
        return metrics_body(await receiver.metrics(body, is_json=is_json, producer=producer), is_json=is_json)
    except IntakeUnavailable as error:
        _log.warning("otlp_not_stored", problem=printable(error.message, limit=300))
        raise OtlpRefusal(503, error.message, retry_after_seconds=error.retry_after_seconds) from error
    except BadBatch as error:
        raise OtlpRefusal(400, error.message) from error


async def _admitted(admit: Admit, headers: Mapping[bytes, bytes]) -> str:
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    producer = await admit(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    if producer is None:
        raise OtlpRefusal(401, "no token of a producer: send Authorization: Bearer TOKEN (dbre ingest producer add NAME)")
    return producer
