"""The fixtures give real servers of the version in their name."""

import asyncio

import asyncmy
import psycopg
import pytest
import redis.asyncio

from dbre.lab.mariadb import MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.testing.fixtures import PostgresPair


@pytest.mark.parametrize("version", [15, 16, 18])
def test_a_fixture_is_a_server_of_the_version_in_its_name(version: int, request: pytest.FixtureRequest) -> None:
    server: PostgresServer = request.getfixturevalue(f"postgres{version}")
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.info.server_version // 10_000 == version


async def test_a_fresh_server_is_empty_and_private(fresh_postgres: PostgresServer, postgres18: PostgresServer) -> None:
    async with await fresh_postgres.connect() as connection:
        await connection.execute("CREATE TABLE public.mine ()")
    assert fresh_postgres.address != postgres18.address
    assert fresh_postgres.password != postgres18.password


async def test_the_replica_of_a_pair_receives_what_the_primary_commits(postgres_pair: PostgresPair) -> None:
    async with await postgres_pair.primary.connect() as primary, await postgres_pair.replica.connect() as replica:
        await primary.execute("CREATE TABLE public.sent AS SELECT 42 AS answer")
        row = await (await primary.execute("SELECT pg_current_wal_lsn()::text")).fetchone()
        assert row is not None
        for _ in range(500):
            await asyncio.sleep(0.01)
            done = await (await replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row)).fetchone()
            if done == (True,):
                break
        assert await (await replica.execute("SELECT answer FROM public.sent")).fetchall() == [(42,)]


async def test_mariadb_and_redis_answer_with_the_generated_password(mariadb: MariaDbServer, redis_server: RedisServer) -> None:
    connection = await asyncmy.connect(
        host=mariadb.address.host, port=mariadb.address.port, user="root", password=mariadb.password.reveal(), db="lab"
    )
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT version()")
        assert "MariaDB" in (await cursor.fetchone())[0]
    connection.close()
    client = redis.asyncio.Redis(port=redis_server.address.port, password=redis_server.password.reveal())
    assert await client.ping()
    await client.aclose()
