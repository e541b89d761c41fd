"""What clients see of a primary that falls silent, by their settings: the behaviour on which the predictions stand."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from dbre.core.errors import Unsupported
from dbre.core.packets.cutting import Cut, cut, mend
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running
from dbre.tools.libpq.connection_string import parse
from dbre.tools.libpq.outage import client_outage

TABLE = "dbre_test_black_hole"
KEEPALIVES = {"keepalives_idle": "1", "keepalives_interval": "1", "keepalives_count": "2"}


@pytest_asyncio.fixture(loop_scope="session")
async def far(lab_site: Site, postgres18: PostgresServer) -> AsyncIterator[tuple[Network, PostgresServer]]:
    """A server in a network namespace of its own, which can be cut off."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    try:
        network = Network.create(lab_site.directory)
    except Unsupported as error:
        leave_out(error)
    try:
        server = PostgresServer("far", lab_site.at(network.host("far")), binaries=postgres18.binaries)
        async with running(server):
            yield network, server
    finally:
        network.remove()


async def client(server: PostgresServer, **settings: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(server.conninfo(), autocommit=True, **settings)


async def seconds_until_error(connection: psycopg.AsyncConnection, *, limit: float) -> float | None:
    """How long one statement waits; None: longer than the limit."""
    began = time.monotonic()
    task = asyncio.create_task(connection.execute("SELECT 1"))
    done, _ = await asyncio.wait([task], timeout=limit)
    if not done:
        connection.pgconn.finish()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
    assert isinstance(task.exception(), psycopg.OperationalError)
    return time.monotonic() - began


@pytest.mark.soak  # of libpq and the kernel, not of dbre: it changes with their versions only
async def test_only_a_user_timeout_ends_the_wait_of_a_statement_and_keepalives_that_of_an_idle_connection(
    far: tuple[Network, PostgresServer], postgres18: PostgresServer
) -> None:
    network, server = far
    space = network.namespace("far")
    fast = await client(server, tcp_user_timeout="1500")
    kept = await client(server, **KEEPALIVES)
    idle = await client(server, **KEEPALIVES)
    bare = await client(server, keepalives="0")
    await asyncio.to_thread(cut, Cut(), TABLE, space)
    try:
        waited = dict(
            zip(
                ("fast", "kept", "bare"),
                await asyncio.gather(
                    seconds_until_error(fast, limit=90), seconds_until_error(kept, limit=6), seconds_until_error(bare, limit=6)
                ),
                strict=True,
            )
        )
        assert waited["fast"] is not None
        assert waited["fast"] >= client_outage(parse("host=far tcp_user_timeout=1500")).black_hole - 0.5
        assert (waited["kept"], waited["bare"]) == (None, None)  # the keepalives had had three seconds
        assert await seconds_until_error(idle, limit=60) is not None  # its keepalives found out while nobody asked
        both = f"host={server.address.host},{postgres18.address.host} port={server.address.port},{postgres18.address.port}"
        began = time.monotonic()
        given = {"user": postgres18.superuser, "password": postgres18.password.reveal(), "dbname": "postgres"}
        async with await psycopg.AsyncConnection.connect(both, connect_timeout="2", **given) as next_one:
            assert next_one.info.port == postgres18.address.port
        assert time.monotonic() - began >= 1.5  # the silent host costs its connect_timeout
    finally:
        await asyncio.to_thread(mend, TABLE, space)
        for one in (fast, kept, idle, bare):
            one.pgconn.finish()
