"""The receiving end of the page: a small HTTP server on loopback that checks the signature, as a pager would."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from dbre.capabilities.incident import verify_signature
from dbre.core.errors import DbreError
from dbre.core.secrets import Secret

__all__ = ["Delivery", "Pager"]

_MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook that arrived."""

    received_at: datetime
    webhook_id: str
    is_signed: bool
    kind: str
    data: dict[str, Any]


@dataclass
class Pager:
    """Listens while entered; ``deliveries`` grows as webhooks come in."""

    secret: Secret
    port: int = 0  # 0: any that is free
    deliveries: list[Delivery] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _paged: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where to send."""
        assert self._server is not None  # noqa: S101 - used while entered only
        return f"http://127.0.0.1:{self._server.server_address[1]}/page"

    def pages(self) -> list[Delivery]:
        """Fired alerts of severity page, each webhook id once."""
        fired = {
            one.webhook_id: one
            for one in self.deliveries
            if one.kind == "slo.alert_fired" and one.data.get("severity") == "page"
        }
        return list(fired.values())

    async def wait_page(self, seconds: float) -> None:
        """Wait until a page is there, or until the time is over."""
        await asyncio.to_thread(self._paged.wait, seconds)

    def __enter__(self) -> Self:
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _MAX_BODY_BYTES))
                pager.accept(dict(self.headers.items()), body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is the library's
                """Say nothing: the demonstration tells its own story."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def accept(self, headers: dict[str, str], body: bytes) -> None:
        """Record one delivery; a wrong signature is recorded as such, not hidden."""
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            verify_signature(self.secret, lower, body)
            is_signed = True
        except DbreError:
            is_signed = False
        document = json.loads(body)
        self.deliveries.append(
            Delivery(
                received_at=datetime.now(UTC),
                webhook_id=lower.get("webhook-id", ""),
                is_signed=is_signed,
                kind=str(document.get("type", "")),
                data=dict(document.get("data", {})),
            )
        )
        if self.pages():
            self._paged.set()
