"""The query API of a Prometheus, or of what speaks it: Thanos, Mimir, VictoriaMetrics."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from dbre import __version__
from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["PrometheusClient", "QueryRefused", "Series", "ServerAccess"]

MOST_POINTS = 11_000
"""Of one series in one answer; Prometheus refuses more."""
_ANSWER_BYTES = 64 * 2**20
_SHOWN = 300  # characters of an error of the server


class QueryRefused(UsageError):
    """The server cannot evaluate the expression: asking again does not help."""

    code = "prometheus.query_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccess:
    """Where a server is, and how to log in to it."""

    url: str  # up to and without /api/v1
    timeout_seconds: float = 10.0
    token: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    tls_ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an answer: its labels without the name of the metric, and its points, oldest first; NaN is left out."""

    labels: Mapping[str, str]
    name: str
    points: tuple[tuple[float, float], ...]  # Unix seconds, value; infinity stays


class _Error(msgspec.Struct):
    status: str = ""
    errorType: str = ""  # noqa: N815 - the server's name of it
    error: str = ""


class _Matrix(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815 - the server's name of it
    result: Any


class _Answer(msgspec.Struct):
    status: str
    data: _Data
    warnings: list[str] = []


_ANSWERS = msgspec.json.Decoder(_Answer)
_ERRORS = msgspec.json.Decoder(_Error)


class PrometheusClient:
    """Asks one server; keeps its connections until ``aclose``."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access
        self._client: httpx.AsyncClient | None = None

    @property
    def name(self) -> str:
        """The server as messages name it: without a password, which no URL holds here anyway."""
        url = urlsplit(self._access.url)
        return f"Prometheus at {printable(url.hostname or '', limit=255)}:{url.port or (443 if url.scheme == 'https' else 80)}"

    async def instant(self, expression: str, *, at: datetime) -> tuple[Series, ...]:
        """The value of an expression at one moment. Raises: Unreachable, Denied, QueryRefused."""
        return await self._ask("query", {"query": expression, "time": _unix(at), "timeout": self._limit})

    async def range(self, expression: str, *, start: datetime, end: datetime, step_seconds: int) -> tuple[Series, ...]:
        """The values at ``start``, ``start + step`` and so on up to and including ``end``.

        Raises: Unreachable, Denied, QueryRefused; ValueError for more points than a server answers with.
        """
        if (end - start).total_seconds() / step_seconds >= MOST_POINTS:
            raise ValueError(f"more than {MOST_POINTS} points of each series: ask for shorter ranges")
        given = {"query": expression, "start": _unix(start), "end": _unix(end), "step": str(step_seconds)}
        return await self._ask("query_range", {**given, "timeout": self._limit})

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @property
    def _limit(self) -> str:
        return f"{max(round(self._access.timeout_seconds * 1000), 1)}ms"

    async def _ask(self, path: str, form: Mapping[str, str]) -> tuple[Series, ...]:
        try:
            async with asyncio.timeout(self._access.timeout_seconds):
                status, body = await self._post(path, form)
        except TimeoutError as error:
            raise Unreachable(f"{self.name} did not answer within {self._access.timeout_seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            reason = printable(str(error), limit=_SHOWN) or type(error).__name__
            raise Unreachable(f"{self.name} cannot be reached: {reason}") from error
        if status != 200:
            raise self._refusal(status, body)
        try:
            return _series(_ANSWERS.decode(body).data)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            raise Unreachable(f"{self.name} answers with something else than the query API does: {error}") from error

    async def _post(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        client = await self._opened()
        headers = {"User-Agent": f"dbre/{__version__}"}
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {await _revealed(self._access.token)}"
        auth = None
        if self._access.user is not None:
            auth = httpx.BasicAuth(self._access.user, await _revealed(self._access.password) if self._access.password else "")
        url = f"{self._access.url.rstrip('/')}/api/v1/{path}"
        async with client.stream("POST", url, data=dict(form), headers=headers, auth=auth) as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > _ANSWER_BYTES:
                    raise httpx.ReadError(f"the answer is longer than {_ANSWER_BYTES // 2**20} MiB")
            return response.status_code, bytes(content)

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            verify: ssl.SSLContext | bool = False  # there is no TLS to verify
            if urlsplit(self._access.url).scheme == "https":
                authorities = self._access.tls_ca_file
                verify = await asyncio.to_thread(
                    ssl.create_default_context, cafile=None if authorities is None else str(authorities)
                )
            self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=verify, timeout=None)  # noqa: S113 - the whole question has a limit
        return self._client

    def _refusal(self, status: int, body: bytes) -> Exception:
        try:
            said = printable(_ERRORS.decode(body).error, limit=_SHOWN)
        except (msgspec.DecodeError, msgspec.ValidationError):
            said = printable(body[:_SHOWN].decode("utf-8", "replace"), limit=_SHOWN)
        message = f"{self.name} answers {status}" + (f": {said}" if said else "")
        if status in (401, 403):
            return Denied(message, hint="check token, user and password of this server in dbre.yaml")
        if status in (400, 422):
            return QueryRefused(message, hint="try the expression on the server's own page")
        return Unreachable(message)


async def _revealed(secret: Secret) -> str:
    """A program that is asked for a secret may take seconds."""
    return await asyncio.to_thread(secret.reveal)


def _unix(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _series(data: _Data) -> tuple[Series, ...]:
    if data.resultType not in ("vector", "matrix"):
        raise ValueError(f"a {data.resultType}, not series")
    return tuple(map(_one, msgspec.convert(data.result, list[_Matrix])))


def _one(found: _Matrix) -> Series:
    points: Sequence[tuple[float, str]] = found.values if found.value is None else [found.value]
    read = ((at, float(value)) for at, value in points)
    labels = {name: value for name, value in found.metric.items() if name != "__name__"}
    name = found.metric.get("__name__", "")
    return Series(labels=labels, name=name, points=tuple((at, value) for at, value in read if not isnan(value)))
