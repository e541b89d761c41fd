"""One connection to PostgreSQL: opened phase by phase, and gone at once when its time is up or its task is cancelled."""

import asyncio
import ipaddress
import os
import re
import select
import socket
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, pq, waiting
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row

from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.network import Target, resolve
from dbre.core.stopwatch import Stopwatch
from dbre.core.text import one_line
from dbre.core.units import format_duration
from dbre.engines.postgres.faults import CannotConnect
from dbre.engines.postgres.libpq import set_verbose_errors
from dbre.ports.engine import Access, NamedQuery, Timeouts

__all__ = ["Connection", "open_connection", "server_limits"]

_CONNECTING = (pq.ConnStatus.STARTED, pq.ConnStatus.NEEDED)
_ENCRYPTING = (pq.ConnStatus.SSL_STARTUP, pq.ConnStatus.GSS_STARTUP)
_SQLSTATE = re.compile(r"failed: [^:\n]+:\s+([0-9A-Z]{5}): ([^\n]*)")
_NETWORK_WORDS = {
    "Connection refused": "connection_refused",
    "No such file": "connection_refused",  # the socket file of a server that is not there
    "unreachable": "network_unreachable",
    "No route": "network_unreachable",
}
_WITHOUT_INTERVAL = 3600.0  # psycopg wakes up ten times a second to notice Ctrl-C, which asyncio tells us anyway
_ABANDONED_SECONDS = 5.0
_Result = TypeVar("_Result")


class _TolerantText(Loader):
    """Text in an encoding that is not the database's own: statements of other databases in ``pg_stat_activity``."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


class _Driver(AsyncConnection[Any]):
    """psycopg's connection, except that it gives up without waiting for the server.

    psycopg answers a cancelled task by sending a cancel request and waiting for its effect, up to five seconds: with a
    frozen server that breaks every deadline. Here the socket is closed at once; the server ends an abandoned statement by
    its own ``statement_timeout``.
    """

    async def wait(self, gen: PQGen[_Result], interval: float = 0.0, timeout: float | None = None) -> _Result:  # noqa: ARG002, ASYNC109 - psycopg's signature
        """Wait for the server; a cancelled wait closes the connection."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=_WITHOUT_INTERVAL, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


class Connection:
    """An open connection in autocommit mode, with the session's limits set."""

    def __init__(self, driver: AsyncConnection[Any]) -> None:
        self._driver = driver
        self._is_busy = False
        self.version: tuple[int, ...] = divmod(driver.pgconn.server_version, 10_000)
        self.user = (driver.pgconn.user or b"").decode("utf-8", "replace")
        self.system_id: str | None = None  # filled in by whoever asks for it; the same as long as the connection lives
        self.may_read_heartbeat = False  # as the server said when the probe last asked
        # As it was before anybody changed it for this session: whether a client's transactions could write.
        self.is_server_read_only = driver.pgconn.parameter_status(b"default_transaction_read_only") == b"on"

    @property
    def driver(self) -> AsyncConnection[Any]:
        """The driver's connection, for streams and transactions of those who hold this connection alone."""
        return self._driver

    @property
    def is_usable(self) -> bool:
        """Open, no answer outstanding, no transaction open, and nothing unexpected has come in (such as a farewell)."""
        pgconn = self._driver.pgconn
        if self._is_busy or pgconn.status != pq.ConnStatus.OK or pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """Close the socket at once, without a farewell that could block; does nothing the second time."""
        pgconn = self._driver.pgconn
        if self._is_busy and pgconn.status == pq.ConnStatus.OK:
            # Somebody waits for this socket: let that end with an error, instead of taking the descriptor from under it.
            with socket.socket(fileno=os.dup(pgconn.socket)) as same:
                same.shutdown(socket.SHUT_RDWR)
        else:
            pgconn.finish()

    async def run(self, query: NamedQuery, *parameters: object, limit_seconds: float) -> Sequence[Any]:
        """Send one named query and give its rows as named tuples; none for a statement that returns no rows.

        Raises: TimeoutError after ``limit_seconds``, and then the connection is closed; psycopg.Error.
        """
        self._is_busy = True
        try:
            async with asyncio.timeout(limit_seconds):
                cursor = await self._driver.execute(query.text.encode(), parameters)
                return await cursor.fetchall() if cursor.description else ()
        except TimeoutError as error:
            raise TimeoutError(f"no answer to {query.name} within {format_duration(limit_seconds)}") from error
        finally:
            self._is_busy = False


async def open_connection(
    access: Access, *, what: str, watch: Stopwatch | None = None, is_limited_at_start: bool = True
) -> Connection:
    """Open a connection, each phase timed, trying all addresses of the host until the connect timeout.

    The server's timers are set in the same breath; with ``is_limited_at_start=False`` the caller sets them with its first
    statement, and the server's own values stay visible as ``reset_val`` of ``pg_settings``.

    Raises: OSError, CannotConnect, or the class of psycopg for the SQLSTATE with which the server refused.
    """
    watch = watch or Stopwatch()
    limit = access.timeouts.connect_seconds
    deadline = time.monotonic() + limit
    try:
        async with asyncio.timeout(limit):
            return await _open_one_of(access, what, watch, deadline, has_options=is_limited_at_start)
    except TimeoutError as error:
        raise CannotConnect(f"no connection within {format_duration(limit)}", word="timeout") from error


async def _open_one_of(access: Access, what: str, watch: Stopwatch, deadline: float, *, has_options: bool) -> Connection:
    targets = await _targets(access.address, watch)
    for position, target in enumerate(targets):
        left = len(targets) - position
        try:
            async with asyncio.timeout((deadline - time.monotonic()) / left):
                return await _open(_conninfo(access, target, what, has_options=has_options), watch)
        except (TimeoutError, CannotConnect):
            if left == 1:
                raise
    raise CannotConnect(f"{access.address.host} has no address", word="dns")


async def _targets(address: Address, watch: Stopwatch) -> Sequence[Target | None]:
    """Where to connect; None stands for the host as it is written: a number or a socket directory."""
    if address.host.startswith("/") or _is_numeric(address.host):
        return [None]
    watch.begin("dns")
    return await resolve(address)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _open(conninfo: str, watch: Stopwatch) -> Connection:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        has_states = set_verbose_errors(pgconn, on=True)
        phase = "connect"
        watch.begin(phase)
        status = pq.PollingStatus.WRITING if pgconn.status != pq.ConnStatus.BAD else pq.PollingStatus.FAILED
        while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            await _ready(pgconn.socket, status)
            status = pq.PollingStatus(pgconn.connect_poll())
            if status is not pq.PollingStatus.FAILED:
                phase = _phase(pgconn.status)
                watch.begin(phase)
        _check(pgconn, status, phase)
        if has_states:
            set_verbose_errors(pgconn, on=False)
        pgconn.nonblocking = 1
        return Connection(await _wrap(pgconn))
    except BaseException:
        pgconn.finish()
        raise
    finally:
        watch.begin(None)


async def _wrap(pgconn: pq.abc.PGconn) -> AsyncConnection[Any]:
    driver = _Driver(pgconn, row_factory=namedtuple_row)
    driver.cursor_factory = AsyncRawCursor
    driver.prepare_threshold = None  # poolers hand one server connection to many clients
    for name in ("text", "varchar", "name", "bpchar"):
        driver.adapters.register_loader(name, _TolerantText)
    await driver.set_autocommit(True)
    return driver


async def _ready(descriptor: int, status: pq.PollingStatus) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not done.done():
            done.set_result(None)

    if status is pq.PollingStatus.READING:
        loop.add_reader(descriptor, settle)
    else:
        loop.add_writer(descriptor, settle)
    try:
        await done
    finally:
        if status is pq.PollingStatus.READING:
            loop.remove_reader(descriptor)
        else:
            loop.remove_writer(descriptor)


def _phase(status: int) -> str:
    if status in _CONNECTING:
        return "connect"
    return "tls" if status in _ENCRYPTING else "auth"


def _check(pgconn: pq.abc.PGconn, status: pq.PollingStatus, phase: str) -> None:
    if status is not pq.PollingStatus.OK:
        raise _refusal(pgconn.get_error_message("utf-8"), phase)


def _refusal(message: str, phase: str) -> psycopg.Error:
    """The error for a connection that did not come about: with the server's SQLSTATE, else with our own word."""
    match = _SQLSTATE.search(message)
    if match:
        try:
            error = psycopg.errors.lookup(match[1])(one_line(match[2]))
        except KeyError:
            error = psycopg.OperationalError(one_line(match[2]))
        error.sqlstate = match[1]
        return error
    words = (word for text, word in _NETWORK_WORDS.items() if text in message)
    word = next(words, {"connect": "connection_lost", "tls": "tls"}.get(phase, "connection_lost"))
    return CannotConnect(one_line(message.split("failed: ", 1)[-1].splitlines()[0] if message else phase), word=word)


def _conninfo(access: Access, target: Target | None, what: str, *, has_options: bool) -> str:
    given: dict[str, str | int | None] = {
        "host": access.address.host,
        "hostaddr": target.host if target else None,
        "port": access.address.port,
        "user": access.user,
        "password": access.password.reveal() if access.password else None,
        "dbname": access.database or "postgres",
        "sslmode": access.tls.value,
        "sslrootcert": _root_certificate(access),
        "application_name": access.session_name(what),
        "options": _options(access.timeouts) if has_options else None,
        "client_encoding": "UTF8",
        "gssencmode": "disable",
        "target_session_attrs": "any",
        "tcp_user_timeout": round(access.timeouts.statement_seconds * 2000),
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    return make_conninfo("", **{name: value for name, value in given.items() if value is not None})


def _root_certificate(access: Access) -> str | None:
    if access.tls_ca_file is not None:
        return access.tls_ca_file
    if access.tls is TlsMode.VERIFY_CA:
        raise UsageError(
            f"tls verify-ca of {access.address} needs tls_ca_file",
            hint="name the authority's certificate, or use verify-full, which trusts the system's authorities",
        )
    return "system" if access.tls is TlsMode.VERIFY_FULL else None


def server_limits(timeouts: Timeouts) -> dict[str, str]:
    """The timers that the server enforces, as its parameters in milliseconds."""
    seconds = {
        "statement_timeout": timeouts.statement_seconds,
        "lock_timeout": timeouts.lock_seconds,
        "idle_in_transaction_session_timeout": timeouts.statement_seconds + _ABANDONED_SECONDS,
    }
    return {name: str(max(1, round(limit * 1000))) for name, limit in seconds.items()}


def _options(timeouts: Timeouts) -> str:
    # pg_temp last: else a temporary table could stand in for one of the catalog
    limits = {**server_limits(timeouts), "search_path": "pg_catalog,pg_temp"}
    return " ".join(f"-c {name}={value}" for name, value in limits.items())
