"""A PostgreSQL with things that dumps find hard, and its dump; made once for all tests that only look."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import dumps_kit as kit
import pytest
import pytest_asyncio
from psycopg import sql

from dbre.core.errors import Unsupported
from dbre.engines.postgres.dumps.port import PostgresDumps
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running


@pytest.fixture
def room(lab_site: Site) -> Iterator[Path]:
    with kit.room_in(lab_site) as directory:
        yield directory


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def source(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """PostgreSQL 15, as it comes with extensions."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    except Unsupported as error:
        leave_out(error)
    async with running(PostgresServer("dumped", lab_site, binaries=binaries)) as server:
        await _fill(server)
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dumped(lab_site: Site, source: PostgresServer) -> AsyncIterator[kit.Dumped]:
    """The source and its dump as a superuser."""
    with kit.room_in(lab_site) as directory:
        port = PostgresDumps(kit.place_of(lab_site))
        target = kit.own(directory / "dump", lab_site)
        facts = await port.copy(source.access(), kit.order_of(target), kit.quiet)
        yield kit.Dumped(site=lab_site, server=source, port=port, directory=target, facts=facts)


async def _fill(server: PostgresServer) -> None:
    async with await server.connect() as connection:
        await connection.execute("CREATE EXTENSION pg_trgm")
        await connection.execute(
            "CREATE TABLE orders AS SELECT i AS id, repeat('x', 50) AS text FROM generate_series(1, 5000) i"
        )
        await connection.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
        await connection.execute("CREATE UNLOGGED TABLE unlogged AS SELECT 7 AS id")
        await connection.execute("CREATE TABLE lines (id int REFERENCES orders)")
        await connection.execute("SELECT lo_from_bytea(0, 'a large object')")
        await connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret of a role'").format(sql.Identifier(kit.ODD)))
        await connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(kit.ODD), sql.Identifier(kit.ODD))
        )
        await connection.execute("CREATE ROLE dumper LOGIN PASSWORD 'dumper'")
        await connection.execute("CREATE TABLE guarded (id int)")
        await connection.execute("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY")
    async with await server.connect(database=kit.ODD) as connection:
        await connection.execute("CREATE TABLE odd AS SELECT 42 AS answer")
