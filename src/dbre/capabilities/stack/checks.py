"""One check of one service, whatever its kind: it ends in time and never fails, because failing is what it tells of."""

import asyncio
import os
import ssl
import time
from datetime import datetime

import httpx

from dbre.capabilities.stack.documents import ServiceDocument
from dbre.capabilities.stack.http_checks import check_http
from dbre.capabilities.stack.model import CheckResult, ServiceKind, ServiceState, Verdict
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, TlsMode
from dbre.core.network import connect, failure_word, resolve
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.engine import Access, EngineRegistry, Timeouts

__all__ = ["check"]

_PORTS = {"postgresql": 5432, "mysql": 3306, "redis": 6379, "amqp": 5672}
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_CONNECTION_START = b"\x01\x00\x00"  # a method frame of channel 0; AMQP 0-9-1, 2.3.5 and 1.4.2.1


async def check(service: ServiceDocument, *, engines: EngineRegistry, at: datetime) -> CheckResult:
    """Ask a service once, within its timeout."""
    began = time.perf_counter()
    limit = service.timeout.total_seconds()
    latency: float | None = None
    try:
        async with asyncio.timeout(limit):
            verdict = await _ask(service, engines)
        latency = time.perf_counter() - began
    except TimeoutError:
        verdict = _down(f"no answer within {format_duration(limit)}")
    except DbreError as error:
        verdict = _down(error.message)
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        verdict = _down(_reason(error))
    slow = service.slow_after
    if latency is not None and slow is not None and verdict.state is ServiceState.UP and latency > slow.total_seconds():
        late = f"{verdict.detail}; it took {format_duration(latency)}, limit {format_duration(slow.total_seconds())}"
        verdict = Verdict(state=ServiceState.DEGRADED, detail=late, version=verdict.version)
    return CheckResult(
        service=service.name,
        kind=service.kind,
        url=service.url,
        state=verdict.state,
        detail=printable(verdict.detail, limit=300),
        version=verdict.version,
        latency_seconds=latency,
        at=at,
    )


def _down(detail: str) -> Verdict:
    return Verdict(state=ServiceState.DOWN, detail=detail)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:  # clients of HTTP wrap what the system said
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    text = printable(str(error), limit=200)
    return text or failure_word(error).replace("_", " ")


async def _ask(service: ServiceDocument, engines: EngineRegistry) -> Verdict:
    if service.address.scheme in ("http", "https"):
        return await check_http(service)
    if service.kind is ServiceKind.TCP:
        return await _tcp(service)
    if service.kind is ServiceKind.RABBITMQ:
        return await _amqp(service)
    return await _database(service, engines)


async def _tcp(service: ServiceDocument) -> Verdict:
    reader, writer = await _opened(service)
    del reader
    writer.close()
    return Verdict(state=ServiceState.UP, detail="takes connections")


async def _opened(service: ServiceDocument) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address of the host that takes one. Raises: OSError."""
    url = service.address
    targets = await resolve(Address(url.hostname or "", url.port or _PORTS[url.scheme]))
    for target in targets[:-1]:
        try:
            return await asyncio.open_connection(sock=await connect(target))
        except OSError:
            continue
    return await asyncio.open_connection(sock=await connect(targets[-1]))


async def _amqp(service: ServiceDocument) -> Verdict:
    """The first words of AMQP: the broker offers its ways to log in, and says its version, before anybody logs in."""
    reader, writer = await _opened(service)
    try:
        writer.write(_AMQP_HEADER)
        await writer.drain()
        head = await reader.readexactly(7)
        if not head.startswith(_CONNECTION_START):
            return _down(f"speaks no AMQP 0-9-1: it answers {printable(head.decode('latin-1'), limit=40)}")
        frame = await reader.readexactly(min(int.from_bytes(head[3:7], "big"), 64 * 1024))
    except asyncio.IncompleteReadError:
        return _down("closes the connection instead of speaking AMQP")
    finally:
        writer.close()
    return Verdict(state=ServiceState.UP, detail="speaks AMQP 0-9-1", version=_server_property(frame, b"version"))


def _server_property(frame: bytes, name: bytes) -> str | None:
    """A long string of the server's properties: its name, ``S``, four bytes of length, the text."""
    mark = bytes([len(name)]) + name + b"S"
    start = frame.find(mark)
    if start < 0:
        return None
    start += len(mark)
    length = int.from_bytes(frame[start : start + 4], "big")
    return printable(frame[start + 4 : start + 4 + length].decode("utf-8", "replace"), limit=40) or None


async def _database(service: ServiceDocument, engines: EngineRegistry) -> Verdict:
    """Who the server says that it is, to a login of its own: a port that is open proves no database."""
    url, limit = service.address, service.timeout.total_seconds()
    access = Access(
        address=Address(url.hostname or "", url.port or _PORTS[url.scheme]),
        user=service.user,
        password=await service.password.resolve() if service.password else None,
        database=url.path.strip("/") or None,
        tls=TlsMode.VERIFY_FULL if service.tls_ca_file else TlsMode.PREFER,
        tls_ca_file=str(service.tls_ca_file) if service.tls_ca_file else None,
        timeouts=Timeouts(connect_seconds=limit, statement_seconds=limit, lock_seconds=min(limit, 0.5)),
        application_name="dbre:stack",
        max_connections=1,
    )
    server = engines.get(service.kind.value).connect(access)
    try:
        identity = await server.session.identify()
    finally:
        await server.aclose()
    detail = f"{identity.product} {identity.role.value}" + (", read-only" if identity.is_read_only else "")
    return Verdict(state=ServiceState.UP, detail=detail, version=printable(identity.version_text, limit=40))
