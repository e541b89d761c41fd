"""How MariaDB is loaded: by asyncmy, over the first address that is not read-only."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncmy
from asyncmy.errors import Error

from dbre.core.errors import Unreachable
from dbre.lab.load.model import LoadTarget

__all__ = ["MariaDbLoad"]

_CLIENT_ERRORS = {2003: "cannot connect", 2006: "connection lost", 2013: "connection lost"}  # errmsg.h of the client library


class _Connection:
    """One connection in autocommit mode; broken by anything but an answer."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._is_usable = True

    @property
    def is_usable(self) -> bool:
        """Whether the last statement ended with an answer."""
        return self._is_usable and bool(self._driver.connected)

    def abort(self) -> None:
        """Close the socket at once."""
        self._is_usable = False
        self._driver.close()

    async def run(self, statement: str, *parameters: object) -> Sequence[Any]:
        """Run one statement and fetch its rows."""
        self._is_usable = False
        async with self._driver.cursor() as cursor:
            await cursor.execute(statement, parameters)
            rows: Sequence[Any] = await cursor.fetchall()
        self._is_usable = True
        return rows

    async def write(self, run: str, sequence: int) -> None:
        """Store one number."""
        await self.run("INSERT INTO lab_ledger (run, sequence) VALUES (%s, %s)", run, sequence)

    async def read(self, run: str) -> None:
        """Read the newest number."""
        await self.run("SELECT MAX(sequence) FROM lab_ledger WHERE run = %s", run)


class MariaDbLoad:
    """The load's driver for MariaDB."""

    errors: tuple[type[Exception], ...] = (Error, Unreachable, OSError, EOFError, asyncio.IncompleteReadError)

    def __init__(self, target: LoadTarget, *, deadline_seconds: float) -> None:
        self._target = target
        self._deadline = deadline_seconds

    async def prepare(self) -> None:
        """Make the table."""
        connection = await self.connect()
        try:
            await connection.run(
                "CREATE TABLE IF NOT EXISTS lab_ledger ("
                " run VARCHAR(64) NOT NULL,"
                " sequence BIGINT NOT NULL,"
                " written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),"
                " PRIMARY KEY (run, sequence)) ENGINE = InnoDB"
            )
        finally:
            connection.abort()

    async def connect(self) -> _Connection:
        """Connect to the first address that takes writes."""
        failure: Exception | None = None
        for address in self._target.addresses:
            try:
                connection = await self._open(address.host, address.port)
            except self.errors as error:
                failure = failure or error
                continue
            try:
                ((is_read_only,),) = await connection.run("SELECT @@global.read_only")
            except BaseException:
                connection.abort()
                raise
            if not is_read_only:
                return connection
            connection.abort()
        raise failure or Unreachable("no server takes writes")

    async def stored(self, run: str) -> Sequence[int]:
        """All numbers of a run that the database holds."""
        connection = await self.connect()
        try:
            return [row[0] for row in await connection.run("SELECT sequence FROM lab_ledger WHERE run = %s", run)]
        finally:
            connection.abort()

    def reason(self, error: Exception) -> str:
        """The server's error number, or what happened to the connection."""
        if isinstance(error, Error) and error.args and isinstance(error.args[0], int):
            return _CLIENT_ERRORS.get(error.args[0], f"error {error.args[0]}")
        return error.message if isinstance(error, Unreachable) else type(error).__name__

    async def _open(self, host: str, port: int) -> _Connection:
        driver = await asyncmy.connect(
            host=host,
            port=port,
            user=self._target.user,
            password=self._target.password.reveal() if self._target.password else "",
            db=self._target.database,
            autocommit=True,
            connect_timeout=self._deadline,
            program_name="dbre:lab-load",
        )
        return _Connection(driver)
