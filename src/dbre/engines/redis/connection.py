"""One connection to Redis or Valkey: opened phase by phase, closed at once when its time is up or its task is cancelled."""

import asyncio
import re
import socket
import ssl
from collections.abc import Coroutine
from typing import Any

from redis.asyncio.connection import Connection as DriverConnection
from redis.exceptions import RedisError

from dbre.core.errors import UsageError
from dbre.core.fleet import TlsMode
from dbre.core.network import connect, resolve, tls_context
from dbre.core.pool import abort_on_error
from dbre.core.stopwatch import Stopwatch
from dbre.engines.redis.commands import named, words_of
from dbre.engines.redis.faults import error_word
from dbre.ports.engine import Access, NamedQuery

__all__ = ["Connection", "Dialer"]

_PING = b"PING\r\n"
_NOT_IN_A_NAME = re.compile(r"[^!-~]")  # the server takes no blanks
_STREAM_LIMIT_BYTES = 2**16


class _Driver(DriverConnection):
    """redis-py's protocol on a stream that we opened ourselves; it never connects, and never connects again, by itself."""

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use an open stream."""
        self._reader, self._writer = reader, writer

    async def _connect(self) -> None:
        raise ConnectionError("the connection is closed")


class Connection:
    """One open connection; a command that does not end in time closes it."""

    def __init__(self, driver: _Driver, writer: asyncio.StreamWriter) -> None:
        self._driver = driver
        self._transport = writer.transport
        self._reader_ended = False
        self._is_waiting = False
        self.session_id: int | None = None  # None: our login may not ask

    @property
    def is_open(self) -> bool:
        """Whether the socket is open, as far as we can know without asking the server."""
        reader = self._driver._reader  # noqa: SLF001 - the driver has no public way to notice the server's farewell
        return self._driver.is_connected and not self._transport.is_closing() and reader is not None and not reader.at_eof()

    @property
    def is_usable(self) -> bool:
        """Whether the next command may be sent: open, and no answer outstanding."""
        return self.is_open and not self._is_waiting

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in use."""
        return self._transport.get_extra_info("ssl_object") is not None

    async def run(self, command: NamedQuery, *parameters: object, limit_seconds: float, is_raw: bool = False) -> Any:
        """Send one command; its answer with all strings as text, in which bytes that are no UTF-8 are replaced.

        With ``is_raw`` strings stay bytes, for those who must tell values apart that look alike as text.

        Unless the server itself answered with an error, a failure closes the socket before it is raised.

        Raises: TimeoutError; errors of the driver.
        """
        words = words_of(command, parameters)
        self._is_waiting = True
        try:
            async with asyncio.timeout(limit_seconds):
                await self._driver.send_command(*words, check_health=False)
                answer = await self._driver.read_response(disable_decoding=True)
        except BaseException as error:
            self._is_waiting = error_word(error) is None
            if self._is_waiting:
                self.abort()
            raise
        self._is_waiting = False
        return answer if is_raw else _decoded(answer)

    def abort(self) -> None:
        """Close the socket at once: never waits for the server, does nothing the second time."""
        self._transport.abort()
        self._driver._reader = self._driver._writer = None  # noqa: SLF001 - its own disconnect waits for the server under TLS


def _decoded(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "replace")
    if isinstance(answer, list):
        return [_decoded(item) for item in answer]
    return answer


class Dialer:
    """Opens connections to one server, and remembers whether it speaks TLS where the configuration leaves that open.

    A Redis port speaks either TLS or not: there is nothing to negotiate. With ``prefer`` the first connection asks in plain
    text, without any credentials, and a server that hangs up on that is asked in TLS. After a failure it is found out anew.
    """

    def __init__(self, access: Access, *, what: str) -> None:
        self._what = what
        self._is_tls = None if access.tls is TlsMode.PREFER else access.tls is not TlsMode.DISABLE

    async def open(self, access: Access, *, watch: Stopwatch | None = None) -> Connection:
        """Log in; ``watch`` counts the phases ``dns``, ``connect``, ``tls`` and ``auth``. ``access`` may have other timeouts.

        Raises: TimeoutError after the access's connect timeout, with every socket closed; errors of the driver and the network.
        """
        watch = watch or Stopwatch()
        database = _database_number(access)
        try:
            async with asyncio.timeout(access.timeouts.connect_seconds):
                reader, writer = await self._stream(access, watch)
                watch.begin("auth")
                connection = await _log_in(access, self._what, database, reader, writer)
        except (OSError, TimeoutError):
            self._is_tls = None if access.tls is TlsMode.PREFER else self._is_tls
            raise
        watch.begin(None)
        return connection

    async def _stream(self, access: Access, watch: Stopwatch) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if access.address.host.startswith("/"):
            watch.begin("connect")
            return await asyncio.open_unix_connection(access.address.host)
        opened = await _dial(access, watch)
        if self._is_tls is None:
            reader, writer = await _stream_on(opened, None, access)
            if await _answers_in_plain_text(reader, writer):
                self._is_tls = False
                return reader, writer
            self._is_tls = True
            opened = await _dial(access, watch)
        context = tls_context(access.tls, access.tls_ca_file) if self._is_tls else None
        if context is not None:
            watch.begin("tls")
        return await _stream_on(opened, context, access)


async def _dial(access: Access, watch: Stopwatch) -> socket.socket:
    watch.begin("dns")
    targets = await resolve(access.address)
    watch.begin("connect")
    for target in targets[:-1]:
        try:
            return await connect(target)
        except OSError:
            continue
    return await connect(targets[-1])


async def _stream_on(
    opened: socket.socket, context: ssl.SSLContext | None, access: Access
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = access.address.host if context is not None else None
    try:
        return await asyncio.open_connection(sock=opened, ssl=context, server_hostname=name, limit=_STREAM_LIMIT_BYTES)
    except BaseException:
        opened.close()
        raise


async def _answers_in_plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a Redis that speaks no TLS is there: it answers a ping, if only with an error. A TLS server hangs up."""
    try:
        writer.write(_PING)
        line = await reader.readline()
    except ConnectionError:
        line = b""
    except BaseException:
        writer.transport.abort()
        raise
    if line.startswith((b"+", b"-")) and line.endswith(b"\r\n"):
        return True
    writer.transport.abort()
    return False


async def _log_in(
    access: Access, what: str, database: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Connection:
    driver = _Driver(
        username=access.user,
        password=access.password.reveal() if access.password else None,
        db=database,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=None,
        driver_info=None,  # its name and version would need one more privilege
    )
    driver.take(reader, writer)
    connection = Connection(driver, writer)
    limit = access.timeouts.connect_seconds
    name = _NOT_IN_A_NAME.sub("-", access.session_name(what))
    with abort_on_error(connection):
        await driver.on_connect()
        await _unless_forbidden(connection.run(named("set_name"), name, limit_seconds=limit))
        connection.session_id = await _unless_forbidden(connection.run(named("own_session"), limit_seconds=limit))
    return connection


async def _unless_forbidden(call: Coroutine[Any, Any, Any]) -> Any:
    """What a command answers; None where our login may not send it, and can do without."""
    try:
        return await call
    except RedisError as error:
        if error_word(error) != "NOPERM":
            raise
        return None


def _database_number(access: Access) -> int:
    text = access.database or "0"
    if not (text.isascii() and text.isdigit()):
        raise UsageError(
            f"Redis at {access.address}: {text!r} is no database number", hint="databases of a redis cluster are numbers: [0]"
        )
    return int(text)
