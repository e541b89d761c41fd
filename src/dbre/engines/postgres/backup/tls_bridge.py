"""TLS for clients that were built without it: a socket file here, an encrypted connection to the server behind it.

The bridge verifies the server as libpq would. It takes ``SCRAM-SHA-256-PLUS`` off the server's list of mechanisms, because a
client that speaks no TLS refuses a server that offers to bind the login to it.
"""

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.core.fleet import Address, TlsMode
from dbre.core.network import tls_context
from dbre.core.programs.account import Account, give
from dbre.ports.engine import Access

__all__ = ["tls_bridge"]

_PORT = 5432  # of the socket's name; nothing listens on it
_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
_PIPE_BYTES = 1 << 18
_LARGEST_GREETING = 1 << 16
_AUTHENTICATION, _ERROR = b"R", b"E"
_SASL = 10
_BOUND = b"SCRAM-SHA-256-PLUS\0"


@asynccontextmanager
async def tls_bridge(access: Access, account: Account, *, directory: Path) -> AsyncIterator[Address]:
    """A socket in ``directory`` (0700, of ``account``) that leads to the server of ``access``, encrypted."""
    path = directory / f".s.PGSQL.{_PORT}"
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        # The stream's own callback would log a cancelled task as an error; only our end cancels it.
        with contextlib.suppress(asyncio.CancelledError):
            await _serve(access, reader, writer)

    server = await asyncio.start_unix_server(serve, path, limit=_PIPE_BYTES)
    path.chmod(0o600)
    give(path, account)
    try:
        yield Address(str(directory), _PORT)
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 -- a socket


async def _serve(access: Access, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        try:
            async with asyncio.timeout(access.timeouts.connect_seconds):
                up_reader, up_writer = await _connect(access)
        except (OSError, TimeoutError, EOFError) as error:
            writer.write(_refusal(f"dbre: no encrypted connection to {access.address}: {error or 'no answer in time'}"))
            await writer.drain()
            return
        try:
            upward = asyncio.create_task(_pump(reader, up_writer))
            try:
                await _greet(up_reader, writer)
                await _pump(up_reader, writer)
            finally:
                upward.cancel()
                await asyncio.gather(upward, return_exceptions=True)
        finally:
            up_writer.close()
    except (OSError, EOFError):
        pass  # one side is gone: the other is told by the end of its connection
    finally:
        writer.close()


async def _connect(access: Access) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Source: PostgreSQL manual, 55.2.10 "SSL Session Encryption"."""
    address = access.address
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=_PIPE_BYTES)
    try:
        context = tls_context(access.tls, access.tls_ca_file)
        writer.write(_SSL_REQUEST)
        await writer.drain()
        answer = await reader.readexactly(1)
        if answer == b"S" and context is not None:
            await writer.start_tls(context, server_hostname=address.host)
    except BaseException:
        writer.close()
        raise
    if answer != b"S" and access.tls is not TlsMode.PREFER:
        writer.close()
        raise ConnectionError("the server does not speak TLS")
    return reader, writer


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on the server's first messages, up to the one that asks for a login."""
    while True:
        head = await reader.readexactly(5)
        length = int.from_bytes(head[1:], "big")
        if not 4 <= length <= _LARGEST_GREETING:
            raise ConnectionError("the server's greeting makes no sense")
        body = await reader.readexactly(length - 4)
        if head[:1] == _AUTHENTICATION and int.from_bytes(body[:4], "big") == _SASL:
            body = body[:4] + body[4:].replace(_BOUND, b"", 1)
        writer.write(head[:1] + (len(body) + 4).to_bytes(4, "big") + body)
        await writer.drain()
        if head[:1] in (_AUTHENTICATION, _ERROR):
            return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIPE_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _refusal(message: str) -> bytes:
    fields = b"SFATAL\0VFATAL\0C08001\0M" + " ".join(message.split()).encode(errors="replace")[:500] + b"\0\0"
    return _ERROR + (len(fields) + 4).to_bytes(4, "big") + fields
