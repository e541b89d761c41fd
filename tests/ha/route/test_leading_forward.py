"""Routes that are turned where nothing leads back: all of them before the first client goes on, and as many as will."""

import psycopg
import pytest
from route_clients import Writer, route_of

from dbre.capabilities.ha.route.turning import lead_all, pause_all
from dbre.core.errors import Unreachable
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.route import RouteChanged
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.haproxy.route import HaproxyRoute
from dbre.tools.haproxy.runtime_api import RuntimeApi


def proxy_of(site: Site, pair: PostgresPair, name: str) -> HaproxyServer:
    program = installed(lambda: find_haproxy(account=site.account))
    return HaproxyServer(name, site, program=program, servers={"pg1": pair.primary.address, "pg2": pair.replica.address})


async def kept(server: PostgresServer) -> int:
    async with await server.connect(database="shop") as admin:
        row = await (await admin.execute("SELECT count(*) FROM kept")).fetchone()
    assert row is not None
    return int(row[0])


async def promote(server: PostgresServer) -> None:
    async with await server.connect() as admin:
        await admin.execute("SELECT pg_promote()")


async def test_a_way_through_another_one_opens_after_that_is_turned(
    lab_site: Site, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    new = postgres_pair.replica
    async with running(proxy_of(lab_site, postgres_pair, "behind")) as proxy:
        text = pooler.databases_file.read_text()
        through = text.replace(f"port={postgres_pair.primary.address.port}", f"port={proxy.address.port}")
        pooler.databases_file.write_text(through)
        pool, way = route_of(pooler, has_file=False), HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND)
        async with await psycopg.AsyncConnection.connect(
            pooler.conninfo(database="pgbouncer", user=pooler.superuser),
            autocommit=True,
            cursor_factory=psycopg.AsyncClientCursor,
        ) as console:
            await console.execute("RELOAD")
        before = {"pool": await pool.current(), "proxy": await way.current()}
        async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
            await writer.until(5)
            await pause_all([pool, way], limit_seconds=30)
            count = await kept(postgres_pair.primary)
            await promote(new)
            await lead_all([pool, way], new.address, before=before)
            await writer.until(5)
    assert writer.errors == []
    assert await kept(postgres_pair.primary) == count, "a client wrote on the old primary"


async def test_one_that_fails_keeps_no_other_from_being_turned_nor_closed(
    lab_site: Site, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    new, pool = postgres_pair.replica, route_of(pooler)
    async with running(proxy_of(lab_site, postgres_pair, "gone")) as proxy:
        dead = HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND)
        before = {"proxy": await dead.current(), "pool": None}  # as where nobody could tell when it was planned
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        await pause_all([dead, pool], limit_seconds=30)
        await promote(new)
        for _ in range(2):  # again, as after a crash
            with pytest.raises(Unreachable, match="HAProxy"):
                await lead_all([dead, pool], new.address, before=before)
        await writer.until(5)
    state = await pool.current()
    assert (state.addresses, state.is_paused, writer.errors) == ((new.address,), False, [])


async def test_a_paused_way_that_cannot_be_turned_is_opened(pooler: PgBouncerServer, postgres_pair: PostgresPair) -> None:
    pool = route_of(pooler)
    before = await pool.current()
    await pool.pause(limit_seconds=30)
    pooler.databases_file.write_text(pooler.databases_file.read_text().replace("host=127.0.0.1", "host=127.0.0.9"))
    with pytest.raises(RouteChanged, match=r"leads to 127\.0\.0\.9"):
        await lead_all([pool], postgres_pair.replica.address, before={"pool": before})
    assert not (await pool.current()).is_paused
