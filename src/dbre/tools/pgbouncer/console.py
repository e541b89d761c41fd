"""The admin console of a PgBouncer: simple queries over one connection, each within a limit."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, waiting
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.fleet import Address, TlsMode
from dbre.core.secrets import Secret
from dbre.core.text import one_line, printable
from dbre.core.units import format_duration

__all__ = ["Console", "ConsoleAccess", "ConsoleRefused", "console"]

ANSWER_SECONDS = 5.0
_WITHOUT_INTERVAL = 3600.0
_Result = TypeVar("_Result")


class ConsoleRefused(DbreError):
    """PgBouncer does not do what it was told to; its words are in the message."""

    code = "pgbouncer.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleAccess:
    """Where the console is and how to log in: as one of ``admin_users``."""

    address: Address
    user: str
    password: Secret | None = None
    tls: TlsMode = TlsMode.PREFER
    tls_ca_file: str | None = None


class _Driver(AsyncConnection[Any]):
    """psycopg's connection, except that a cancelled wait closes it at once: PAUSE answers when it is done, or never."""

    async def wait(self, gen: PQGen[_Result], interval: float = 0.0, timeout: float | None = None) -> _Result:  # noqa: ARG002, ASYNC109 - psycopg's signature
        """Wait for PgBouncer; a cancelled wait closes the connection."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=_WITHOUT_INTERVAL, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


class Console:
    """An open console."""

    def __init__(self, driver: AsyncConnection[Any], access: ConsoleAccess) -> None:
        self._driver = driver
        self._access = access

    async def show(self, what: str) -> list[Mapping[str, Any]]:
        """The rows of ``SHOW what``, by the names of their columns."""
        cursor = await self._run(f"SHOW {what}", ANSWER_SECONDS)
        return [] if cursor.description is None else await cursor.fetchall()

    async def tell(self, command: str, database: str | None = None, *, limit_seconds: float = ANSWER_SECONDS) -> None:
        """Run a command such as ``PAUSE`` for one database, or for all.

        Raises: TimeoutError after the limit, and then this console is closed; ConsoleRefused, Unreachable.
        """
        await self._run(command if database is None else f"{command} {_identifier(database)}", limit_seconds)

    async def _run(self, command: str, limit_seconds: float) -> Any:
        where = f"PgBouncer at {self._access.address}"
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._driver.execute(command.encode())
        except TimeoutError as error:
            raise TimeoutError(f"{where} did not answer {command} within {format_duration(limit_seconds)}") from error
        except psycopg.Error as error:
            said = one_line(str(error))
            if self._driver.broken or self._driver.closed:
                raise Unreachable(f"{where} closed the connection during {command}: {said}") from error
            kind = Denied if error.sqlstate == "42501" or "admin access needed" in said else ConsoleRefused
            hint = "let the user stand in admin_users of pgbouncer.ini" if kind is Denied else None
            raise kind(f"{where} refuses {command}: {said}", hint=hint) from error


@asynccontextmanager
async def console(access: ConsoleAccess) -> AsyncIterator[Console]:
    """Log in for a moment. Raises: Unreachable, Denied."""
    driver = await _connect(access)
    try:
        yield Console(driver, access)
    finally:
        driver.pgconn.finish()


async def _connect(access: ConsoleAccess) -> AsyncConnection[Any]:
    where = f"PgBouncer at {access.address}"
    conninfo = make_conninfo(
        host=access.address.host,
        port=access.address.port,
        user=access.user,
        password=access.password.reveal() if access.password is not None else None,
        dbname="pgbouncer",
        sslmode=access.tls.value,
        sslrootcert=access.tls_ca_file,
        connect_timeout=str(round(ANSWER_SECONDS)),
        gssencmode="disable",
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await _Driver.connect(
                conninfo, autocommit=True, prepare_threshold=None, cursor_factory=AsyncClientCursor, row_factory=dict_row
            )
    except TimeoutError as error:
        raise Unreachable(f"{where} does not answer within {format_duration(ANSWER_SECONDS)}") from error
    except (psycopg.Error, OSError) as error:
        said = _without(one_line(str(error)), access.password)
        if re.search(r"password|authentication|SASL|no such user|not allowed|SSL", said):
            raise Denied(
                f"{where} refuses the login of {printable(access.user)}: {said}",
                hint="let the user stand in auth_file and in admin_users of pgbouncer.ini",
            ) from error
        raise Unreachable(f"{where} cannot be reached: {said}", hint="see that it runs, and that its port is open") from error


def _without(text: str, password: Secret | None) -> str:
    return text.replace(password.reveal(), "***") if password is not None and password.reveal() else text


def _identifier(name: str) -> str:
    """A name as the console reads it. Raises: Unsupported for what it cannot read at all."""
    if not name or any(ord(one) < 32 or ord(one) == 127 for one in name):
        raise Unsupported(f"{printable(name)!r} cannot be the name of a database of PgBouncer")
    return '"' + name.replace('"', '""') + '"'
