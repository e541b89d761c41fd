"""MariaDB applies its relay log before it takes over, and Redis takes over at once: what is lost is told for both."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncmy
import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, results
from ha_live import until
from redis.asyncio import Redis

from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


async def ask(server: MariaDbServer, *statements: str) -> list[Any]:
    login = {"user": server.superuser, "password": server.password.reveal()}
    connection = await asyncmy.connect(host=server.address.host, port=server.address.port, autocommit=True, **login)
    async with connection.cursor() as cursor:
        for one in statements:
            await cursor.execute(one)
        rows = list(await cursor.fetchall())
    connection.close()
    return rows


async def begun_steps(store: Store) -> list[str]:
    async with store.read() as connection:
        found = await list_operations(connection, OperationFilter(target="cluster/shop", limit=1), may_see=lambda _: True)
        return [one.name for one in (await load(connection, found[0].id)).steps] if found else []


async def test_mariadb_applies_what_it_has_before_it_takes_over(mariadb: MariaDbServer, lab_site: Site, store: Store) -> None:
    async with (
        running(MariaDbServer("fo-m1", lab_site, program=mariadb.program)) as first,
        running(MariaDbServer("fo-m2", lab_site, program=mariadb.program, replica_of=first)) as second,
    ):
        shop = Shop(fleet=fleet_with_control("mysql", {"n1": first, "n2": second}), store=store)
        await ask(first, "CREATE DATABASE orders", "CREATE TABLE orders.paid (number INT)")
        async with shop.observed():
            await shop.until_healthy()
            # The replica receives and is kept from applying by a lock, which the crash of the primary does not end.
            await until(lambda: ask(second, "SHOW TABLES FROM orders"), lambda rows: rows == [("paid",)])
            login = {"user": second.superuser, "password": second.password.reveal()}
            holder = await asyncmy.connect(host=second.address.host, port=second.address.port, autocommit=True, **login)
            async with holder.cursor() as cursor:
                await cursor.execute("LOCK TABLES orders.paid WRITE")
            for number in range(20):
                await ask(first, f"INSERT INTO orders.paid VALUES ({number})")
            written = (await ask(first, "SELECT @@gtid_binlog_pos"))[0][0]
            await until(lambda: ask(second, "SHOW ALL SLAVES STATUS"), lambda rows: any(written in str(one) for one in rows[0]))
            await shop.until_told(lambda position: position.text == written)
            await first.kill()
            await shop.until_dead()
            failing = asyncio.create_task(shop.fail_over(automatic=True))
            await until(lambda: begun_steps(store), lambda names: "assess" in names)
            await asyncio.sleep(5.0)
            assert not failing.done()  # it waits for the relay log
            holder.close()
            record = await failing
            assert record.state is OperationState.SUCCEEDED, record.error
            assessed = results(record)["assess"]
            assert (assessed["waiting"], assessed["left"], assessed["lost_transactions"]) == ("20 transactions", None, 0)
            assert assessed["seconds"] > 0
            assert assessed["waiting_transactions"] == 20
            assert assessed["waiting_bytes"] > 0
            predicted = record.planned.plan.observed["drain"]
            assert (predicted["transactions"], predicted["seconds"]) == (20, None)  # it was at a standstill, so nobody can tell
            assert await ask(second, "SELECT COUNT(*) FROM orders.paid") == [(20,)]
            await ask(second, "INSERT INTO orders.paid VALUES (99)")


@pytest.mark.soak
async def test_mariadb_tells_before_how_long_a_lagging_replica_will_take(
    mariadb: MariaDbServer, lab_site: Site, store: Store
) -> None:
    async with (
        running(MariaDbServer("fo-l1", lab_site, program=mariadb.program)) as first,
        running(MariaDbServer("fo-l2", lab_site, program=mariadb.program, replica_of=first)) as second,
    ):
        shop = Shop(fleet=fleet_with_control("mysql", {"n1": first, "n2": second}), store=store)
        shop.failover |= {"drain": "10m", "max_lost_transactions": 1_000_000}
        await ask(first, "CREATE DATABASE orders", "CREATE TABLE orders.paid (number INT, text TEXT)")
        async with shop.observed():
            await shop.until_healthy()
            await ask(second, "STOP SLAVE SQL_THREAD")
            for _ in range(20):
                await ask(first, *["INSERT INTO orders.paid VALUES (1, REPEAT('x', 1000))"] * 1000)
            written = (await ask(first, "SELECT @@gtid_binlog_pos"))[0][0]
            await until(lambda: ask(second, "SHOW ALL SLAVES STATUS"), lambda rows: any(written in str(one) for one in rows[0]))
            await first.kill()
            await shop.until_dead()
            await ask(second, "START SLAVE SQL_THREAD")
            record = await shop.fail_over(accept_loss=True)
            assert record.state is OperationState.SUCCEEDED, record.error
            assessed, predicted = results(record)["assess"], record.planned.plan.observed["drain"]
            assert (await ask(second, "SELECT COUNT(*) FROM orders.paid")) == [(20_000,)]
            assert 0 < assessed["waiting_transactions"] <= predicted["transactions"] < 20_000
            assert predicted["seconds"] > 0
            assert assessed["waiting_bytes"] < predicted["bytes"]


async def test_redis_takes_over_and_the_others_follow(redis_server: RedisServer, lab_site: Site, store: Store) -> None:
    async with (
        running(RedisServer("fo-r1", lab_site, program=redis_server.program)) as first,
        running(RedisServer("fo-r2", lab_site, program=redis_server.program, replica_of=first)) as second,
        running(RedisServer("fo-r3", lab_site, program=redis_server.program, replica_of=first)) as third,
    ):
        shop = Shop(fleet=fleet_with_control("redis", {"n1": first, "n2": second, "n3": third}), store=store)
        async with shop.observed():
            async with client(first) as redis:
                await redis.set("paid", "1")
                await redis.wait(2, 60_000)
            await shop.until_healthy()
            await first.kill()
            await shop.until_dead()
            record = await shop.fail_over(automatic=True, to="n3")
            assert record.state is OperationState.SUCCEEDED, record.error
            assert results(record)["assess"]["lost_bytes"] == 0
            async with client(third) as redis:
                assert await redis.get("paid") == b"1"
                assert await redis.set("paid", "2")
                assert await redis.wait(1, 60_000) == 1


async def test_redis_loses_what_never_arrived_and_says_so(redis_server: RedisServer, lab_site: Site, store: Store) -> None:
    async with (
        running(RedisServer("fo-s1", lab_site, program=redis_server.program)) as first,
        running(RedisServer("fo-s2", lab_site, program=redis_server.program, replica_of=first)) as second,
    ):
        shop = Shop(fleet=fleet_with_control("redis", {"n1": first, "n2": second}), store=store)
        shop.failover |= {"max_loss": "1KiB", "confirm": "1s"}
        async with shop.observed():
            await shop.until_healthy()
            await second.freeze()
            async with client(first) as redis:
                for _ in range(15):  # more than the kernel holds for a frozen receiver
                    await redis.set("paid", "x" * 4_000_000)
            await shop.until_told(lambda position: (position.offset or 0) > 60_000_000)
            await first.kill()
            for one in second.processes():
                assert one.is_stopped
            await second.thaw()
            await shop.until_dead()
            with pytest.raises(FailoverRefused, match="loss: "):
                await shop.plan(automatic=True)


def client(server: RedisServer) -> Redis:
    return Redis(host=server.address.host, port=server.address.port, password=server.password.reveal())
