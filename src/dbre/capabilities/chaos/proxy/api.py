"""The HTTP API of Toxiproxy and what we add to it, on loopback, for those who hold the token.

Served by the loop that copies the bytes: so a change happens between two events, for all connections at once. The parser is
httptools, which the base install has; a framework would bring a second loop with it.
"""

import hmac
import http
import ipaddress
import json
import socket

import httptools

from dbre.capabilities.chaos.proxy.errors import ListenFailed
from dbre.capabilities.chaos.proxy.loop import READ, Loop, Timer
from dbre.capabilities.chaos.proxy.routes import Answer, Routes, failure
from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.core.text import quoted

__all__ = ["Api"]

_MOST_CLIENTS = 64
_LONGEST_BODY = 1 << 20
_LONGEST_HEAD = 32 * 1024
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0  # of one client's silence
_REASONS = {one.value: one.phrase for one in http.HTTPStatus}


class Api:
    """Listens until it is closed."""

    def __init__(self, address: Address, token: Secret, routes: Routes, loop: Loop) -> None:
        _require_loopback(address)
        self._token, self._routes, self._loop = token, routes, loop
        self._clients: set[_Client] = set()
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((address.host, address.port))
            self._listener.listen(_MOST_CLIENTS)
        except OSError as error:
            self._listener.close()
            raise ListenFailed(f"the API cannot listen on {address}: {error.strerror}", hint="choose another port") from error
        self.address = Address(address.host, self._listener.getsockname()[1])
        self._pause: Timer | None = None
        self._listen()

    def close(self) -> None:
        """Listen no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for one in list(self._clients):
            one.close()

    def is_allowed(self, authorization: str) -> bool:
        """Whether the header holds the token."""
        given = authorization.partition(" ")[2] if authorization.lower().startswith("bearer ") else ""
        return hmac.compare_digest(given.encode(), self._token.reveal().encode())

    def answer(self, method: str, url: str, body: bytes) -> Answer:
        """What a request comes to."""
        return self._routes.answer(method, url, body)

    def gone(self, client: "_Client") -> None:
        """A client has left."""
        self._clients.discard(client)

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), READ, self._accept)

    def _accept(self, _: int) -> None:
        try:
            found, _peer = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # gone already
        except OSError:  # no more files: to ask again and again would help nobody
            self._loop.forget(self._listener.fileno())
            self._pause = self._loop.after(_PAUSE_SECONDS, self._listen)
            return
        found.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS:
            found.close()
            return
        self._clients.add(_Client(found, self, self._loop))


class _Client:
    """One connection to the API."""

    def __init__(self, found: socket.socket, api: Api, loop: Loop) -> None:
        self._socket, self._api, self._loop = found, api, loop
        self._complete: list[tuple[str, str, Answer | None, bytes, bool]] = []
        self._timer: Timer | None = None
        self._fresh()
        self._parser = httptools.HttpRequestParser(self)
        loop.watch(found.fileno(), READ, self._event)
        self._rest()

    def on_url(self, url: bytes) -> None:
        """Called by the parser; may come in pieces."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._grow(len(name) + len(value))
        if name.lower() == b"authorization":
            self._authorization = value.decode("latin-1")
        elif name.lower() == b"origin":
            self._has_origin = True

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._body += data
        if len(self._body) > _LONGEST_BODY:
            raise ValueError("too long")

    def on_message_complete(self) -> None:
        """Called by the parser."""
        method = self._parser.get_method().decode("latin-1")
        self._complete.append(
            (method, self._url.decode("latin-1"), self._refusal(), self._body, self._parser.should_keep_alive())
        )
        self._fresh()

    def close(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._api.gone(self)

    def _fresh(self) -> None:
        self._url, self._authorization, self._has_origin, self._body, self._head = b"", "", False, b"", 0

    def _refusal(self) -> Answer | None:
        if self._has_origin:
            return failure(403, "this API is not for pages in a browser")
        if not self._api.is_allowed(self._authorization):
            return failure(401, "the token is missing or wrong", "send the header Authorization: Bearer TOKEN")
        return None

    def _grow(self, count: int) -> None:
        self._head += count
        if self._head > _LONGEST_HEAD:
            raise ValueError("too long")

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(_PATIENCE_SECONDS, self.close)

    def _event(self, _: int) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._rest()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._complete.clear()
            self._say(failure(400, "that is not HTTP, or too long"), stays=False)
        for method, url, refusal, body, stays in self._complete:
            self._say(refusal or self._api.answer(method, url, body), stays=stays)
        self._complete.clear()

    def _say(self, answer: Answer, *, stays: bool) -> None:
        body = (
            answer.body
            if isinstance(answer.body, bytes)
            else json.dumps(answer.body).encode()
            if answer.body is not None
            else b""
        )
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}\r\ncontent-type: {answer.content_type}\r\n"
            f"content-length: {len(body)}\r\nconnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
        )
        # Answers are small and clients are on this machine: one that does not read while we send waits in vain.
        self._socket.settimeout(1.0)
        try:
            self._socket.sendall(head.encode() + body)
        except OSError:
            stays = False
        self._socket.setblocking(False)
        if not stays:
            self._loop.soon(self._leave)

    def _leave(self) -> None:
        if self._socket.fileno() >= 0:
            self.close()


def _require_loopback(address: Address) -> None:
    try:
        is_loopback = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(
            f"the API of a fault proxy is for this machine only, and {quoted(address.host, limit=100)} is not loopback",
            hint="use 127.0.0.1 or ::1, and a tunnel if it is needed from elsewhere",
        )
