"""A client that writes while a route is turned, and the route by a PgBouncer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from dbre.engines.postgres import PostgresEngine
from dbre.lab.pgbouncer import PgBouncerServer
from dbre.tools.pgbouncer.console import ConsoleAccess
from dbre.tools.pgbouncer.route import PgBouncerRoute


def route_of(pooler: PgBouncerServer, *, has_file: bool = True) -> PgBouncerRoute:
    """The route by this PgBouncer."""
    access = ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
    return PgBouncerRoute("pool", access, ["shop"], file=pooler.databases_file if has_file else None)


class PostgresAlone:
    """The registry of an installation with one engine."""

    def names(self) -> list[str]:
        return ["postgresql"]

    def get(self, name: str) -> PostgresEngine:
        assert name == "postgresql"
        return PostgresEngine()


class Writer:
    """A client that counts, some hundred times a second, and keeps what was acknowledged and what went wrong."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.acknowledged: list[int] = []
        self.errors: list[str] = []
        self.longest = 0.0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["Writer"]:
        """While the block runs."""
        task = asyncio.create_task(self._write())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, count: int) -> None:
        """Wait until that many more were acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < goal:  # noqa: ASYNC110 -- an outcome is polled for
                await asyncio.sleep(0.01)

    async def _write(self) -> None:
        clock, number, connection = asyncio.get_running_loop().time, 0, None
        last = clock()
        while True:
            number += 1
            try:
                if connection is None:
                    connection = await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True, prepare_threshold=None)
                await connection.execute("INSERT INTO kept VALUES (%s)", [number])
            except psycopg.Error as error:
                self.errors.append(str(error))
                connection = None
                await asyncio.sleep(0.02)
                continue
            self.acknowledged.append(number)
            now = clock()
            self.longest, last = max(self.longest, now - last), now
            await asyncio.sleep(0.005)  # the machine has others to serve
