"""PostgreSQL servers of every tested version, as the conformance suite wants them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from psycopg import sql

from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.facts import TESTED_VERSIONS
from dbre.lab.postgres import PostgresServer
from dbre.ports.engine import Access
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import QUICK, sessions_left

USER = "dbre_granted"


class PostgresSubject(Subject):
    """A lab server, with a login made by exactly the grant script."""

    server: PostgresServer

    @classmethod
    async def on(cls, server: PostgresServer) -> "PostgresSubject":
        subject = cls(
            engine=PostgresEngine(),
            product="postgresql",
            version=(server.binaries.version,),
            server=server,
            access=server.access(user=USER, password=Secret("s3cret-granted")),
        )
        await subject.new_login(USER, "s3cret-granted", is_granted=True)
        return subject

    async def new_login(self, name: str, password: str, *, is_granted: bool) -> Access:
        async with await self.server.connect() as admin:
            cursor = await admin.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [name])
            verb = sql.SQL("ALTER" if cursor.rowcount else "CREATE")
            await admin.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(name), sql.Literal(password))
            )
            if is_granted:
                await admin.execute(self.engine.grants(name).encode())
        return replace(self.server.access(user=name, password=Secret(password)), timeouts=QUICK)

    async def new_database(self, name: str) -> Access:
        async with await self.server.connect() as admin:
            cursor = await admin.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name])
            if not cursor.rowcount:
                await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return replace(self.impatient(), database=name)

    async def sessions_of(self, user: str) -> Sequence[str]:
        async with await self.server.connect() as admin:
            cursor = await admin.execute("SELECT application_name FROM pg_catalog.pg_stat_activity WHERE usename = %s", [user])
            return [row[0] for row in await cursor.fetchall()]

    @asynccontextmanager
    async def busy_session(self) -> AsyncIterator[str]:
        async with await self.server.connect() as other:
            await other.execute("BEGIN")
            await other.execute("SELECT 'secret in a query'")
            yield str(other.info.backend_pid)

    @asynccontextmanager
    async def blocked_session(self) -> AsyncIterator[tuple[str, str]]:
        async with await self.server.connect() as holder, await self.server.connect() as waiter:
            await holder.execute("SELECT pg_catalog.pg_advisory_lock(42)")
            waiting = asyncio.create_task(waiter.execute("SELECT pg_catalog.pg_advisory_lock(42)"))
            while True:
                cursor = await holder.execute(
                    "SELECT wait_event_type FROM pg_catalog.pg_stat_activity WHERE pid = %s", [waiter.info.backend_pid]
                )
                if await cursor.fetchone() == ("Lock",):
                    break
            yield str(waiter.info.backend_pid), str(holder.info.backend_pid)
            await holder.execute("SELECT pg_catalog.pg_advisory_unlock(42)")
            await waiting


@pytest.fixture(params=[version for (version,) in TESTED_VERSIONS["postgresql"]], ids=lambda version: f"postgres{version}")
def server(request: pytest.FixtureRequest) -> PostgresServer:
    """A server of each tested version."""
    found: PostgresServer = request.getfixturevalue(f"postgres{request.param}")
    return found


@pytest.fixture
async def subject(server: PostgresServer) -> AsyncIterator[PostgresSubject]:
    """That server with a login made by exactly the grant script; no test may leave a session of that login behind."""
    found = await PostgresSubject.on(server)
    yield found
    assert not await sessions_left(found, USER, at_most=0)
