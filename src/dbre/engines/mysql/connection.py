"""One connection to MySQL or MariaDB: opened phase by phase, closed at once when its time is up or its task is cancelled."""

import asyncio
import math
import os
from collections.abc import Sequence
from typing import Any

from asyncmy.connection import PreparedStatement
from asyncmy.errors import OperationalError

from dbre.core.fleet import TlsMode
from dbre.core.network import resolve, tls_context
from dbre.core.pool import abort_on_error
from dbre.core.stopwatch import Stopwatch
from dbre.engines.mysql.driver import CleartextRefused, DriverConnection
from dbre.engines.mysql.facts import Product, identify_product
from dbre.engines.mysql.faults import error_number
from dbre.engines.mysql.queries import named
from dbre.ports.engine import Access, NamedQuery

__all__ = ["Connection", "Row", "open_connection"]

Row = dict[str, Any]

_SOCKET_FILE = "mysqld.sock"
_LONGEST_NAME = 64  # of program_name, as performance_schema shows it


class Connection:
    """One open connection with its product and version; a statement that does not end in time closes it."""

    def __init__(self, driver: DriverConnection) -> None:
        self._driver = driver
        self._prepared: dict[str, PreparedStatement] = {}
        self._is_waiting = False
        self.product, self.version = identify_product(driver.server_version)
        self.thread_id = int(driver.thread_id())

    @property
    def is_open(self) -> bool:
        """Whether the socket is open, as far as we can know without asking the server."""
        return self._driver.is_open

    @property
    def is_usable(self) -> bool:
        """Whether the next statement may be sent: open, and no answer outstanding."""
        return self.is_open and not self._is_waiting

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in use."""
        return self._driver.is_encrypted

    async def run(self, query: NamedQuery, *parameters: object, limit_seconds: float) -> list[Row]:
        """Send one named query; its rows by column name, none for a statement that returns no rows.

        Parameters are bound on the server, never written into the text. Unless the server itself answered with an error, a
        failure closes the socket before it is raised.

        Raises: TimeoutError; errors of the driver.
        """
        self._is_waiting = True
        try:
            async with asyncio.timeout(limit_seconds):
                columns, rows = await self._send(query.text, parameters)
        except BaseException as error:
            self._is_waiting = error_number(error) is None
            if self._is_waiting:
                self.abort()
            raise
        self._is_waiting = False
        return [dict(zip(columns, map(_text, row), strict=True)) for row in rows]

    async def _send(self, text: str, parameters: Sequence[object]) -> tuple[list[str], Sequence[Sequence[Any]]]:
        if not parameters:
            async with self._driver.cursor() as cursor:
                await cursor.execute(text)
                return _names(cursor.description), await cursor.fetchall() if cursor.description else ()
        statement = self._prepared.get(text)
        if statement is None:
            statement = self._prepared[text] = await self._driver.prepare(text)
        result = await statement.execute(parameters)
        return _names(result.description), result.rows or ()

    def abort(self) -> None:
        """Close the socket at once: never waits for the server, does nothing the second time."""
        self._driver.close()


def _names(description: Any) -> list[str]:
    return [str(column[0]) for column in description] if description else []


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value


async def open_connection(access: Access, *, what: str, watch: Stopwatch | None = None) -> Connection:
    """Log in as ``dbre:<what>``, and arm the server's own timers.

    ``watch`` counts the phases ``dns``, ``connect``, ``tls`` and ``auth``.

    Raises: TimeoutError after the access's connect timeout, with every socket closed; errors of the driver and the network.
    """
    watch = watch or Stopwatch()
    async with asyncio.timeout(access.timeouts.connect_seconds):
        connection = Connection(await _log_in(access, what, watch))
        with abort_on_error(connection):
            await _arm(connection, access)
    watch.begin(None)
    return connection


async def _log_in(access: Access, what: str, watch: Stopwatch) -> DriverConnection:
    name, options = access.address.host, _login_options(access, what)
    if name.startswith("/"):
        watch.begin("connect")
        path = os.path.join(name, _SOCKET_FILE) if os.path.isdir(name) else name  # noqa: ASYNC240, PTH112, PTH118 - local, no wait
        local = DriverConnection(watch=watch, server_name=name, is_tls_optional=True, unix_socket=path, **options)
        await local.connect()
        return local
    watch.begin("dns")
    targets = await resolve(access.address)
    for target in targets:
        watch.begin("connect")
        driver = DriverConnection(
            watch=watch,
            server_name=name,
            is_tls_optional=access.tls is TlsMode.PREFER,
            host=target.host,
            port=target.port,
            ssl=tls_context(access.tls, access.tls_ca_file),
            **options,
        )
        try:
            await driver.connect()
        except OperationalError:
            if driver.has_reached_server or target is targets[-1]:
                raise
        else:
            return driver
    raise AssertionError("a name that resolves has at least one address")


def _login_options(access: Access, what: str) -> dict[str, object]:
    # A server may ask for the password itself; only one whose certificate bears its name gets it.
    refused = {} if access.tls is TlsMode.VERIFY_FULL else dict.fromkeys(("mysql_clear_password", "dialog"), CleartextRefused)
    return {
        "user": access.user or "",
        "password": access.password.reveal().encode() if access.password else b"",
        "database": access.database,
        "connect_timeout": access.timeouts.connect_seconds,
        "program_name": access.session_name(what).encode()[:_LONGEST_NAME].decode("utf-8", "ignore"),
        "autocommit": True,
        "auth_plugin_map": refused,
    }


async def _arm(connection: Connection, access: Access) -> None:
    """Let the server give up by itself too, should it lose us without noticing."""
    statement = access.timeouts.statement_seconds
    # Lock timeouts are whole seconds, at least one; a shorter limit is kept by the statement's own.
    lock_seconds = max(1, math.ceil(access.timeouts.lock_seconds))
    limit: float = statement if connection.product is Product.MARIADB else max(1, math.ceil(statement * 1000))
    query = named("session_limits", product=connection.product, version=connection.version)
    await connection.run(query, limit, lock_seconds, lock_seconds, limit_seconds=access.timeouts.connect_seconds)
