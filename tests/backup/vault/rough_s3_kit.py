"""A real server of S3 behind a door that does what networks and services do: cut connections, throttle, have another clock."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


class Door(ThreadingHTTPServer):
    """Hands requests on to ``target``; each plan of ``plans`` is for one request of its method, then all is well."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.plans: list[tuple[str, str]] = []
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def plan(self, method: str, what: str, times: int = 1) -> None:
        """``slow``, ``skewed``, ``unknown-key``, ``wrong-key``, ``cut`` (half of the answer), ``lost`` (done, no answer)."""
        self.plans += [(method, what)] * times

    def next_for(self, method: str) -> str | None:
        for one in self.plans:
            if one[0] == method:
                self.plans.remove(one)
                return one[1]
        return None


_ANSWERS = {
    "slow": (503, "SlowDown", "Please reduce your request rate."),
    "skewed": (403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large."),
    "unknown-key": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "wrong-key": (403, "SignatureDoesNotMatch", "The request signature we calculated does not match."),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Door

    def _any(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        plan = self.server.next_for(self.command)
        self.server.seen.append(f"{self.command} {self.headers.get('Range', '')}".strip())
        if plan in _ANSWERS:
            status, code, message = _ANSWERS[plan]
            self._answer(status, [], _ERROR.format(code=code, message=message).encode())
            return
        onward = http.client.HTTPConnection(self.server.target, timeout=60)
        onward.request(self.command, self.path, data, {name: value for name, value in self.headers.items() if name != "Expect"})
        got = onward.getresponse()
        body = got.read()
        onward.close()
        if plan == "lost":
            self.close_connection = True
            self.connection.close()
            return
        self._answer(got.status, got.getheaders(), body, cut=plan == "cut")

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def door(target: str) -> Iterator[Door]:
    """A door that is open meanwhile."""
    server = Door(target)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
