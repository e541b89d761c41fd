"""Faults that PostgreSQL makes when it is asked to: seen on a server, gone after their runner, healed after their injector."""

from functools import partial
from pathlib import Path

import psycopg
import pytest
from injection_kit import SMALL, is_over, order_on, record_of, runner, until
from server_faults_kit import ENDS, Look, Shop, come_and_go, failure_of

from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


def postgres_says(server: PostgresServer, query: str) -> Look:
    """Whether a query of the superuser gives true."""

    async def look() -> bool:
        async with await server.connect() as admin:
            row = await (await admin.execute(query.encode())).fetchone()
            return bool(row and row[0])

    return look


def postgres_shop(server: PostgresServer) -> Shop:
    where, password = server.address, server.password.reveal()
    given = {"host": where.host, "port": where.port, "user": server.superuser, "password": password, "dbname": "postgres"}
    return Shop(
        lambda: psycopg.AsyncConnection.connect(**given, application_name="shop", autocommit=True),
        lambda connection: connection.execute("SELECT 1"),
    )


HELD = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'dbre:chaos:%:held' AND "


@ENDS
async def test_faults_of_a_primary(small_postgres: PostgresServer, tmp_path: Path, end: str) -> None:
    async with await small_postgres.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS goods (n int)")
    says = partial(postgres_says, small_postgres)
    async with postgres_shop(small_postgres) as shop:
        await come_and_go(
            small_postgres,
            {
                "lock-storm": (
                    {"table": "public.goods", "waiters": 2},
                    says("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'goods'::regclass"),
                ),
                "idle-in-transaction": (
                    {"sessions": 2},
                    says(HELD + "state = 'idle in transaction' AND query LIKE '%snapshot%'"),
                ),
                "deadlock-storm": ({"pairs": 1}, says(HELD + "wait_event = 'advisory'")),
                "archive-failure": ({}, says("SELECT current_setting('archive_command') = '/bin/false'")),
                "slot-leak": ({}, says("SELECT count(*) > 0 FROM pg_replication_slots WHERE slot_name LIKE 'dbre_chaos_%'")),
                "session-end": ({"application": "shop"}, shop.is_ended),
            },
            tmp_path,
            end,
        )
    async with await small_postgres.connect() as admin:
        assert await (await admin.execute("SHOW archive_command")).fetchone() == ("/bin/true",)
        row = await (await admin.execute("SELECT sum(deadlocks) > 0 FROM pg_stat_database")).fetchone()
        assert row == (True,), "the server has seen no deadlock"


@ENDS
async def test_faults_of_a_replica(small_postgres: PostgresServer, tmp_path: Path, end: str) -> None:
    replica = PostgresServer(
        "chaos-replica", small_postgres.site, binaries=small_postgres.binaries, replica_of=small_postgres, settings=SMALL
    )
    async with running(replica):
        says = partial(postgres_says, replica)
        await come_and_go(
            replica,
            {
                "replay-pause": ({}, says("SELECT pg_get_wal_replay_pause_state() <> 'not paused'")),
                "replica-lag": ({"delay": "1m"}, says("SELECT current_setting('recovery_min_apply_delay') = '1min'")),
            },
            tmp_path,
            end,
        )
        assert "not a replica" in await failure_of(order_on(small_postgres, "replay-pause", tmp_path))
        paused = order_on(replica, "replay-pause", tmp_path / "promoted")
        async with runner(paused) as process:
            async with await replica.connect() as admin:
                await admin.execute("SELECT pg_promote()")
            process.kill()
            await until(partial(is_over, paused))
        assert "promoted" in record_of(paused).detail
