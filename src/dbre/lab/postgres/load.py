"""How PostgreSQL is loaded: as an application does it, by psycopg, with all hosts and a wish for the one that takes writes."""

import asyncio
import select
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, pq, waiting
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo

from dbre.core.errors import Unreachable
from dbre.lab.load.model import LoadTarget

__all__ = ["PostgresLoad"]

_WITHOUT_INTERVAL = 3600.0
_Result = TypeVar("_Result")


class _Driver(AsyncConnection[Any]):
    """A connection whose cancelled wait closes the socket, where psycopg would ask the server to cancel and wait for that."""

    async def wait(self, gen: PQGen[_Result], interval: float = 0.0, timeout: float | None = None) -> _Result:  # noqa: ARG002, ASYNC109 - psycopg's signature
        """Wait for the server."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=_WITHOUT_INTERVAL, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


class _Connection:
    """One connection in autocommit mode to a server that takes writes."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    @property
    def is_usable(self) -> bool:
        """Open, idle, and the server has not said farewell."""
        pgconn = self._driver.pgconn
        if pgconn.status != pq.ConnStatus.OK or pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """Close the socket at once."""
        self._driver.pgconn.finish()

    async def write(self, run: str, sequence: int) -> None:
        """Store one number."""
        await self._driver.execute("INSERT INTO public.lab_ledger (run, sequence) VALUES (%s, %s)", (run, sequence))

    async def read(self, run: str) -> None:
        """Read the newest number."""
        cursor = await self._driver.execute("SELECT max(sequence) FROM public.lab_ledger WHERE run = %s", (run,))
        await cursor.fetchone()


class PostgresLoad:
    """The load's driver for PostgreSQL."""

    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def __init__(self, target: LoadTarget, *, deadline_seconds: float) -> None:
        self._target = target
        self._deadline = deadline_seconds

    async def prepare(self) -> None:
        """Make the table, in a transaction of its own."""
        connection = await self._open()
        try:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS public.lab_ledger ("
                " run text NOT NULL,"
                " sequence bigint NOT NULL,"
                " written_at timestamptz NOT NULL DEFAULT now(),"
                " PRIMARY KEY (run, sequence))"
            )
        finally:
            await connection.close()

    async def connect(self) -> _Connection:
        """Connect to the first address that takes writes."""
        return _Connection(await self._open())

    async def stored(self, run: str) -> Sequence[int]:
        """All numbers of a run that the database holds."""
        connection = await self._open()
        try:
            cursor = await connection.execute("SELECT sequence FROM public.lab_ledger WHERE run = %s", (run,))
            return [row[0] for row in await cursor.fetchall()]
        finally:
            await connection.close()

    def reason(self, error: Exception) -> str:
        """The SQLSTATE and its name, or what happened to the connection."""
        if isinstance(error, psycopg.Error) and error.sqlstate:
            return f"{error.sqlstate} {type(error).__name__}"
        text = str(error)
        for part in ("Connection refused", "session is read-only", "server closed the connection", "Connection reset"):
            if part in text:
                return part
        return type(error).__name__ if not isinstance(error, TimeoutError | Unreachable) else "no answer by the deadline"

    async def _open(self) -> _Driver:
        """Hosts are tried in order with libpq's ``target_session_attrs``; the caller's deadline ends all of them."""
        target = self._target
        conninfo = make_conninfo(
            "",
            host=",".join(address.host for address in target.addresses),
            port=",".join(str(address.port) for address in target.addresses),
            dbname=target.database,
            user=target.user,
            password=target.password.reveal() if target.password else None,
            target_session_attrs="read-write",
            connect_timeout=max(2, round(self._deadline)),
            application_name="dbre:lab-load",
            sslmode="disable",
        )
        return await _Driver.connect(conninfo, autocommit=True)
