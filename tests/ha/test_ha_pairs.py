"""MariaDB by GTID and Redis: found, measured, broken."""

from typing import Any

import asyncmy
import pytest
from asyncmy.errors import OperationalError
from ha_live import context, fleet_of, rules, until

from dbre.capabilities.ha.cli import lag, status
from dbre.core.errors import ExitCode
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


async def _open(server: MariaDbServer) -> asyncmy.Connection:
    login = {"user": server.superuser, "password": server.password.reveal()}
    return await asyncmy.connect(host=server.address.host, port=server.address.port, autocommit=True, **login)


async def _all_connections(server: MariaDbServer) -> list[asyncmy.Connection]:
    held: list[asyncmy.Connection] = []
    while len(held) < 50:
        try:
            held += [await _open(server)]
        except OperationalError:
            return held
    pytest.fail("50 connections, and no limit")


async def execute(server: MariaDbServer, *statements: str) -> None:
    connection = await _open(server)
    async with connection.cursor() as cursor:
        for one in statements:
            await cursor.execute(one)
    connection.close()


async def test_a_mariadb_pair_by_gtid(mariadb: MariaDbServer, lab_site: Site) -> None:
    async with (
        running(MariaDbServer("ha-m1", lab_site, program=mariadb.program)) as primary,
        running(MariaDbServer("ha-m2", lab_site, program=mariadb.program, replica_of=primary)) as replica,
    ):
        here = context(fleet_of("mysql", {"m1": primary, "m2": replica}))

        async def look() -> Any:
            return await status(here, "shop", seed="m2")

        found = await until(look, lambda view: view.items[0]["primary"] == "m1")
        (edge,) = found.items[0]["edges"]
        assert (edge["upstream"], edge["is_confirmed"], edge["is_applying"]) == ("m1", True, True)
        assert (found.items[0]["findings"], found.exit_code) == ([], ExitCode.OK)

        await execute(replica, "STOP SLAVE SQL_THREAD")
        await execute(primary, "CREATE DATABASE orders", "CREATE TABLE orders.o (i int)", "INSERT INTO orders.o VALUES (1)")

        async def behind() -> Any:
            return (await lag(here, "shop")).items[0]

        row = await until(behind, lambda row: (row["transactions"] or 0) >= 3 and (row["replay_bytes"] or 0) > 0)
        assert (row["total_bytes"], row["seconds"], row["is_caught_up"]) == (None, None, False)
        assert rules(await look()) == {("ha.paused_replay", "m2")}

        await execute(replica, "START SLAVE SQL_THREAD")
        row = await until(behind, lambda row: row["is_caught_up"])
        assert (row["transactions"], row["seconds"]) == (0, 0.0)
        await execute(replica, "STOP SLAVE IO_THREAD", "SET GLOBAL read_only = 0")
        broken = await until(look, lambda view: ("ha.zombie_replica", "m2") in rules(view))
        assert rules(broken) >= {("ha.zombie_replica", "m2"), ("ha.writable_replica", "m2")}
        await execute(replica, f"SET GLOBAL server_id = {primary.address.port}")
        assert ("ha.cloned_identity", "shop") in rules(await look())

        # Too many connections are a sign of life.
        await execute(primary, "SET GLOBAL max_connections = 10")
        held = await _all_connections(primary)
        full = await look()
        for one in held:
            one.close()
        assert {one["name"]: one["contact"] for one in full.items[0]["nodes"]}["m1"] == "exhausted"


async def test_a_redis_pair_and_a_second_primary(redis_server: RedisServer, lab_site: Site) -> None:
    async with (
        running(RedisServer("ha-r1", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("ha-r2", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        here = context(fleet_of("redis", {"r1": primary, "r2": replica}))

        async def look() -> Any:
            return await status(here, "shop", seed="r1")  # Redis names its followers with their ports

        found = await until(look, lambda view: [one["is_confirmed"] for one in view.items[0]["edges"]] == [True])
        assert (found.items[0]["primary"], found.items[0]["findings"]) == ("r1", [])
        await primary._ask("ZADD dbre:hb:shop 1000000 sequence")

        async def rows() -> Any:
            return (await lag(here, "shop")).items[0]

        row = await until(rows, lambda row: row["is_caught_up"])
        assert (row["total_bytes"], row["seconds"]) == (0, 0.0)

        await replica._ask("REPLICAOF NO ONE")
        split = await until(lambda: status(here, "shop"), lambda view: ("ha.dual_primary", "shop") in rules(view))
        assert split.items[0]["action"] == "fence"

        await primary._ask("CONFIG SET requirepass another")
        refused = await until(lambda: status(here, "shop"), lambda view: ("ha.not_asked", "r1") in rules(view))
        assert {one["name"]: one["contact"] for one in refused.items[0]["nodes"]}["r1"] == "refused"
