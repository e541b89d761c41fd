"""Planned changes of primary of MariaDB and Redis; and opened again where somebody writes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncmy
import pytest
from asyncmy.errors import MySQLError
from ha_live import Engines
from redis.asyncio import Redis
from redis.exceptions import RedisError
from switchover_kit import Walker, controlled, ground_of, steps_of, until

from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.engine import Access, Server
from dbre.ports.succession import NotDone
from dbre.testing.fixtures import ServerPair, running

MariaPair = ServerPair[MariaDbServer]
RedisPair = ServerPair[RedisServer]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture(scope="module")
async def maria(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[MariaPair]:
    async with (
        running(MariaDbServer("sw-m1", lab_site, program=mariadb.program)) as primary,
        running(MariaDbServer("sw-m2", lab_site, program=mariadb.program, replica_of=primary)) as replica,
    ):
        yield ServerPair(primary=primary, replica=replica)


@pytest.fixture(scope="module")
async def redis_pair(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisPair]:
    async with (
        running(RedisServer("sw-r1", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("sw-r2", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        yield ServerPair(primary=primary, replica=replica)


async def execute(server: MariaDbServer, *statements: str, user: str = "root", password: str | None = None) -> Any:
    connection = await asyncmy.connect(
        host=server.address.host,
        port=server.address.port,
        user=user,
        password=password or server.password.reveal(),
        autocommit=True,
    )
    try:
        async with connection.cursor() as cursor:
            for one in statements:
                await cursor.execute(one)
            return await cursor.fetchall() if cursor.description else ()
    finally:
        connection.close()


def walker_of(pair: ServerPair[Any], store: Store, **more: Any) -> Walker:
    engine = pair.primary.engine
    return Walker(store=store, ground=ground_of(controlled(engine, {"n1": pair.primary, "n2": pair.replica}, **more)))


async def test_mariadb_there_and_back(maria: MariaPair, store: Store) -> None:
    login = {"replication_user": REPLICATION_USER, "replication_password": maria.primary.password}
    walker = walker_of(maria, store, **login)
    await execute(maria.primary, "CREATE DATABASE orders", "CREATE TABLE orders.o (i int)", "INSERT INTO orders.o VALUES (1)")
    there = await walker.switch(to="n2")
    assert there.state is OperationState.SUCCEEDED, there.error
    assert steps_of(there) == ["prepare", "give-up", "catch-up", "promote", "rejoin", "settle"]
    await execute(maria.replica, "INSERT INTO orders.o VALUES (2)")
    with pytest.raises(PrecheckFailed, match="replication login: unknown"):
        await walker_of(maria, store).submit(to="n1")

    back = await walker.switch(to="n1")
    assert back.state is OperationState.SUCCEEDED, back.error
    await execute(maria.primary, "INSERT INTO orders.o VALUES (3)")

    async def is_whole() -> bool:
        return list(await execute(maria.replica, "SELECT i FROM orders.o ORDER BY i")) == [(1,), (2,), (3,)]

    await until(is_whole)
    assert await execute(maria.replica, "SELECT @@read_only") == ((1,),)


async def test_mariadb_tells_of_a_login_that_lets_no_follower_in(maria: MariaPair) -> None:
    word = Secret("Reader-1")
    await execute(maria.primary, f"CREATE USER sw_reader@'%' IDENTIFIED BY '{word.reveal()}'")

    async def told(user: str, password: Secret) -> tuple[CheckState, str]:
        """As the candidate has it, where the old primary would log in."""
        servers = {"n1": maria.primary, "n2": maria.replica}
        ground = ground_of(controlled("mysql", servers, replication_user=user, replication_password=password))
        seen = await assess(ground, ground.fleet.cluster("shop"), to="n2", purpose="dbre:test")
        (found,) = [one for one in seen.checks if one.rule == "lets_replication_in"]
        return found.state, found.value

    async def is_known() -> bool:
        return await told("sw_reader", word) == (CheckState.FAIL, "it lacks REPLICATION SLAVE")

    await until(is_known)
    state, value = await told("sw_reader", Secret("wrong"))
    assert state is CheckState.FAIL
    assert "wrong" not in value
    assert (await told(REPLICATION_USER, maria.primary.password))[0] is CheckState.OK


async def test_mariadb_is_opened_again_where_somebody_writes_on(maria: MariaPair) -> None:
    """Who has READ_ONLY ADMIN is not stopped by read_only; so nobody can say that the position stands still."""
    await execute(maria.primary, "CREATE OR REPLACE TABLE lab.busy (i int)")
    engine = Engines().get("mysql")
    server = engine.connect(_access(maria.primary))
    is_over = asyncio.Event()

    async def write_on() -> None:
        while not is_over.is_set():
            try:
                await execute(maria.primary, *["INSERT INTO lab.busy VALUES (1)"] * 50)
            except (MySQLError, OSError):
                await asyncio.sleep(0)  # it was ended, and comes back

    writers = [asyncio.create_task(write_on()) for _ in range(3)]
    try:
        with pytest.raises(NotDone, match="somebody writes on: it was opened again"):
            await _close_until_refused(server)
    finally:
        is_over.set()
        await asyncio.gather(*writers)
        await server.aclose()
    assert not await server.succession.is_closed()


async def _close_until_refused(server: Server) -> None:
    """On a busy machine no writer may be there at the moment in which it is looked for."""
    async with asyncio.timeout(60):
        while True:
            await server.succession.close_to_writes(limit_seconds=30)
            await server.succession.open_to_writes()


def _access(server: Any) -> Access:
    found: Access = server.access()
    return found


async def test_redis_hands_over_by_itself(redis_pair: RedisPair, store: Store) -> None:
    walker = walker_of(redis_pair, store)
    async with _client(redis_pair.primary) as client:
        await client.set("k", "v")
    record = await walker.switch(to="n2")
    assert record.state is OperationState.SUCCEEDED, record.error
    (step,) = record.steps[:1]
    assert (step.name, (step.result or {})["how"]) == ("hand-over", "by the engine")
    async with _client(redis_pair.replica) as client:
        await client.set("l", "w")
    back = await walker.switch(to="n1")
    assert back.state is OperationState.SUCCEEDED, back.error
    async with _client(redis_pair.primary) as client:
        assert [await client.get("k"), await client.get("l")] == [b"v", b"w"]


async def test_redis_goes_step_by_step_where_its_failover_is_refused(redis_pair: RedisPair, store: Store) -> None:
    secret = Secret("s3cret-without-failover")
    for one in (redis_pair.primary, redis_pair.replica):
        async with _client(one) as client:
            await client.execute_command("ACL", "SETUSER", "careful", "on", f">{secret.reveal()}", "~*", "+@all", "-failover")
    record = await walker_of(redis_pair, store, user="careful", password=secret).switch(to="n2")
    assert record.state is OperationState.SUCCEEDED, record.error
    assert "step by step, for the engine refused" in (record.steps[0].result or {})["how"]
    async with _client(redis_pair.replica) as client:
        await client.set("m", "x")
        assert await client.config_get("min-replicas-to-write") == {"min-replicas-to-write": "0"}
    assert (await walker_of(redis_pair, store).switch(to="n1")).state is OperationState.SUCCEEDED


async def test_a_closed_redis_refuses_writes_until_it_is_opened(redis_pair: RedisPair) -> None:
    server = Engines().get("redis").connect(_access(redis_pair.primary))
    async with _client(redis_pair.primary) as client:
        await client.config_set("min-replicas-to-write", "1")
        await server.succession.close_to_writes(limit_seconds=5)
        await server.succession.close_to_writes(limit_seconds=5)
        with pytest.raises(RedisError, match=r"Not enough good replicas|NOREPLICAS"):
            await client.set("k", "closed")
        await server.succession.open_to_writes()
        assert await client.config_get("min-replicas-to-write") == {"min-replicas-to-write": "1"}
        await client.config_set("min-replicas-to-write", "0")
        await client.set("k", "open")
        await client.config_set("min-replicas-max-lag", "0")  # then it counts no replicas, and would refuse nothing
        with pytest.raises(NotDone, match="cannot be closed to writes: min-replicas-max-lag is 0"):
            await server.succession.close_to_writes(limit_seconds=5)
        await client.config_set("min-replicas-max-lag", "10")
        await client.set("k", "open still")
    await server.aclose()


def _client(server: RedisServer) -> Redis:
    return Redis(host=server.address.host, port=server.address.port, password=server.password.reveal())
