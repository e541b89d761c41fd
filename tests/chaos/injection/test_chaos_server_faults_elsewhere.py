"""Faults that MariaDB and Redis make when they are asked to: seen on a server, gone after their runner, healed."""

from functools import partial
from pathlib import Path
from typing import Any

import asyncmy
import pytest
from asyncmy.cursors import DictCursor
from injection_kit import ENGINES, fleet_with, order_on
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeout
from server_faults_kit import ENDS, Look, Shop, administrator, come_and_go, execute, failure_of

from dbre.capabilities.chaos.injection.fitting import check_engine
from dbre.core.errors import UsageError
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


def mariadb_says(server: MariaDbServer, query: str) -> Look:
    """Whether a query of the superuser gives something else than nothing and zero."""

    async def look() -> bool:
        async with administrator(server) as admin:
            rows = await execute(admin, query)
            return bool(rows and rows[0][0] not in (None, 0, "0"))

    return look


async def shopper(where: dict[str, Any]) -> Any:
    return asyncmy.connect(**where)


@ENDS
async def test_faults_of_mariadb(mariadb: MariaDbServer, tmp_path: Path, end: str) -> None:
    async with administrator(mariadb) as admin:
        await execute(admin, "CREATE TABLE IF NOT EXISTS lab.goods (n int) ENGINE=InnoDB")
        await execute(admin, "CREATE OR REPLACE USER shop@'127.0.0.1' IDENTIFIED BY 's3cret'")
    where = {"host": mariadb.address.host, "port": mariadb.address.port, "user": "shop", "password": "s3cret"}
    says = partial(mariadb_says, mariadb)
    waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%'"
    shop = Shop(lambda: shopper(where), lambda connection: execute(connection, "SELECT 1"))
    async with shop:
        await come_and_go(
            mariadb,
            {
                "lock-storm": ({"table": "lab.goods", "waiters": 2}, says(waiting)),
                "idle-in-transaction": ({"sessions": 2}, says("SELECT COUNT(*) FROM information_schema.INNODB_TRX")),
                "deadlock-storm": (
                    {"pairs": 1},
                    says("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'"),
                ),
                "session-end": ({"user": "shop"}, shop.is_ended),
            },
            tmp_path,
            end,
        )


@ENDS
async def test_faults_of_a_replica_of_mariadb(mariadb: MariaDbServer, tmp_path: Path, end: str) -> None:
    async with running(MariaDbServer("chaos-mariadb", mariadb.site, program=mariadb.program, replica_of=mariadb)) as replica:

        async def status(key: str) -> Any:
            async with administrator(replica) as admin, admin.cursor(cursor=DictCursor) as cursor:
                await cursor.execute("SHOW ALL SLAVES STATUS")
                return (await cursor.fetchone())[key]

        async def is_stopped() -> bool:
            return await status("Slave_SQL_Running") == "No"

        async def is_late() -> bool:
            return await status("SQL_Delay") == 60

        await come_and_go(replica, {"replay-pause": ({}, is_stopped)}, tmp_path / "pause", end)
        await come_and_go(replica, {"replica-lag": ({"delay": "1m"}, is_late)}, tmp_path / "lag", end)
        assert (await status("Slave_IO_Running"), await status("Slave_SQL_Running")) == ("Yes", "Yes")
        assert "is not a replica" in await failure_of(order_on(mariadb, "replica-lag", tmp_path))


@ENDS
async def test_faults_of_redis(victim: RedisServer, tmp_path: Path, end: str) -> None:
    given = {"host": victim.address.host, "port": victim.address.port, "password": victim.password.reveal()}

    async def is_stalled() -> bool:
        async with Redis(**given, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)) as client:
            await client.ping()
            try:
                await client.set("goods", 1)
            except RedisTimeout:
                return True
        return False

    async def connect() -> Redis:
        return Redis(**given, client_name="shop", single_connection_client=True, retry=Retry(NoBackoff(), 0))

    async with Shop(connect, lambda client: client.ping()) as shop:
        cases = {"write-stall": ({}, is_stalled), "session-end": ({"application": "shop"}, shop.is_ended)}
        await come_and_go(victim, cases, tmp_path, end)
    with pytest.raises(UsageError, match="redis, the engine of orders, does not make lock-storm"):
        check_engine(["freeze", "lock-storm"], fleet_with(victim).cluster("orders"), ENGINES)
    assert "Redis has no locks" in await failure_of(order_on(victim, "lock-storm", tmp_path, table="x"))
