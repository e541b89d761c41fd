"""The store of a real Patroni is lost: its primary takes no writes any more, and does again; with failsafe it never stops."""

import asyncio
from functools import partial
from pathlib import Path

import psycopg
import pytest
from injection_kit import PATIENCE, is_over, order_on, runner, until

from dbre.capabilities.chaos.injection.order import Order
from dbre.core.clock import SystemClock
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer
from dbre.lab.site import Site
from dbre.testing.patroni_fixtures import running_patroni

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
_LONGER_SECONDS = 20.0  # than a primary of this preset goes on without its store, which is 7 s

_ROUNDS_SECONDS = 10.0  # in which all members learn of each other


def store_loss(cluster: PatroniCluster, leader: PatroniServer, state: Path) -> Order:
    endpoints = ",".join(str(one.address) for one in cluster.etcd)
    return order_on(leader, "dcs-loss", state, endpoints=endpoints)


async def takes_writes(server: PatroniServer) -> bool:
    try:
        async with asyncio.timeout(10), await server.connect() as admin:
            row = await (await admin.execute("SELECT NOT pg_is_in_recovery(), pg_current_xact_id_if_assigned()")).fetchone()
            if row is not None and row[0]:
                await admin.execute("CREATE TABLE IF NOT EXISTS goods (n int)")
                await admin.execute("INSERT INTO goods VALUES (1)")
            return bool(row and row[0])
    except (psycopg.Error, TimeoutError):
        return False


async def until_writes(server: PatroniServer, *, taken: bool) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 2 * PATIENCE
    while await takes_writes(server) is not taken:
        assert clock.monotonic() < deadline
        await clock.sleep(0.5)


async def test_a_primary_without_its_store_stops_unless_it_is_failsafe(lab_site: Site, tmp_path: Path) -> None:
    async with running_patroni(lab_site) as cluster:
        leader = await cluster.wait_healthy()
        order = store_loss(cluster, leader, tmp_path / "stops")
        assert await takes_writes(leader)
        async with runner(order) as process:
            await until_writes(leader, taken=False)
            process.kill()
            await until(partial(is_over, order))
        leader = await cluster.wait_healthy()
        await until_writes(leader, taken=True)

        clock = SystemClock()
        await cluster.configure({"failsafe_mode": True})
        await clock.sleep(_ROUNDS_SECONDS)
        order = store_loss(cluster, leader, tmp_path / "goes-on")
        async with runner(order) as process:
            until_then = clock.monotonic() + _LONGER_SECONDS
            while clock.monotonic() < until_then:
                assert await takes_writes(leader), "a primary in failsafe mode has stopped"
                await clock.sleep(0.5)
            process.kill()
            await until(partial(is_over, order))
        await cluster.wait_healthy()
