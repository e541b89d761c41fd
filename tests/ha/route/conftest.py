"""Two PostgreSQL servers, the second a replica of the first, and what stands between them and their clients."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.core.secrets import Secret
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair, installed, running

PASSWORD = Secret("of-the-application")


@pytest_asyncio.fixture(loop_scope="session")
async def pooler(lab_site: Site, postgres_pair: PostgresPair) -> AsyncIterator[PgBouncerServer]:
    """A PgBouncer that leads ``app``, who owns the table ``kept``, to the primary."""
    async with await postgres_pair.primary.connect() as admin:
        await admin.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD.reveal()}'")
        await admin.execute("CREATE DATABASE shop OWNER app")
    async with await postgres_pair.primary.connect(database="shop") as admin:
        await admin.execute("CREATE TABLE kept (n integer PRIMARY KEY)")
        await admin.execute("ALTER TABLE kept OWNER TO app")
    server = PgBouncerServer(
        "pooler",
        lab_site,
        program=installed(lambda: find_pgbouncer(account=lab_site.account)),
        databases={"shop": postgres_pair.primary.address},
        users={"app": PASSWORD},
    )
    async with running(server):
        yield server
