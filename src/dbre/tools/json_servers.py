"""Servers of one kind that speak JSON over HTTP and know the same: each is asked by itself, and what it said is kept apart
from what nobody knows."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from dbre import __version__
from dbre.core.errors import Unreachable
from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["Answer", "JsonServers", "NoAnswer", "NotAsked", "ServersAccess", "shown"]

_ANSWER_BYTES = 32 * 2**20
_SHOWN = 300  # characters of what a server said


class NotAsked(Unreachable):
    """The question did not leave: whatever it asked for was not done."""

    code = "http.not_asked"


class NoAnswer(Unreachable):
    """The question left and no answer came: what it asked for may have been done."""

    code = "http.no_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersAccess:
    """Where the servers are, and how to log in to them. Nothing is ever sent to another address."""

    urls: tuple[str, ...]
    timeout_seconds: float = 3.0
    user: str | None = None
    password: Secret | None = None
    tls_ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one server answered."""

    url: str
    status: int
    body: bytes

    @property
    def text(self) -> str:
        """What it said, fit to be shown."""
        return printable(self.body[: 4 * _SHOWN].decode("utf-8", "replace").strip(), limit=_SHOWN)

    def document(self) -> Any:
        """The JSON that it said. Raises: NoAnswer where it is something else."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NoAnswer(f"{shown(self.url)} answers with something else than JSON: {self.text[:80]!r}") from error


class JsonServers:
    """Connections to the servers of an access; kept until ``aclose``."""

    def __init__(self, access: ServersAccess) -> None:
        self.access = access
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self,
        url: str,
        method: str,
        path: str,
        document: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Ask one server, and read its answer to the end. Raises: NotAsked, NoAnswer."""
        limit = timeout_seconds if timeout_seconds is not None else self.access.timeout_seconds
        try:
            async with asyncio.timeout(limit), self._sent(url, method, path, document, headers, auth, limit) as response:
                content = bytearray()
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > _ANSWER_BYTES:
                        raise NoAnswer(f"{shown(url)} answers {method} {path} with more than {_ANSWER_BYTES // 2**20} MiB")
                return Answer(url=url, status=response.status_code, body=bytes(content))
        except TimeoutError as error:
            raise NoAnswer(f"{shown(url)} did not answer {method} {path} within {limit:g} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NotAsked(f"{shown(url)} cannot be reached: {_why(error)}") from error
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise NoAnswer(f"{shown(url)} did not answer {method} {path}: {_why(error)}") from error

    @asynccontextmanager
    async def stream(
        self, url: str, path: str, document: object, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer that goes on. Raises: NotAsked, NoAnswer."""
        limit = self.access.timeout_seconds
        try:
            async with self._sent(url, "POST", path, document, headers, None, limit) as response:
                if response.status_code != 200:
                    said = Answer(url=url, status=response.status_code, body=await response.aread())
                    raise NoAnswer(f"{shown(url)} answers {path} with {said.status}: {said.text}")
                yield _lines(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotAsked(f"{shown(url)} cannot be reached: {_why(error)}") from error
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise NoAnswer(f"{shown(url)} stopped answering {path}: {_why(error)}") from error

    async def login(self) -> tuple[str, str] | None:
        """User and password, where there are any; a program that is asked for a secret may take seconds."""
        if self.access.user is None or self.access.password is None:
            return None
        return self.access.user, await asyncio.to_thread(self.access.password.reveal)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _sent(
        self,
        url: str,
        method: str,
        path: str,
        document: object,
        headers: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
        limit: float,
    ) -> AsyncIterator[httpx.Response]:
        if url not in self.access.urls:
            raise ValueError("only servers of the access are asked")  # a login must not go elsewhere
        client = await self._opened()
        content = None if document is None else json.dumps(document).encode()
        given = {"User-Agent": f"dbre/{__version__}", "Content-Type": "application/json", **(headers or {})}
        basic = None if auth is None else httpx.BasicAuth(*auth)
        timeout = httpx.Timeout(None, connect=limit)
        async with client.stream(method, url + path, content=content, headers=given, auth=basic, timeout=timeout) as response:
            yield response

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            verify: ssl.SSLContext | bool = False  # there is no TLS to verify
            if any(urlsplit(url).scheme == "https" for url in self.access.urls):
                authorities = self.access.tls_ca_file
                verify = await asyncio.to_thread(
                    ssl.create_default_context, cafile=None if authorities is None else str(authorities)
                )
            self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=verify)
        return self._client


def shown(url: str) -> str:
    """A server as messages name it."""
    return printable(urlsplit(url).netloc, limit=300)


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in response.aiter_bytes():
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _ANSWER_BYTES:
            raise httpx.ReadError(f"a line is longer than {_ANSWER_BYTES // 2**20} MiB")
        for line in whole:
            if line:
                yield line


def _why(error: Exception) -> str:
    return printable(str(error), limit=_SHOWN) or type(error).__name__
