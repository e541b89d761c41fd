"""Clients behind a PgBouncer see a switchover by Patroni as one slow statement, and never as an error."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from patroni_kit import document_of, fleet_of
from switchover_kit import Walker, ground_of, steps_of

from dbre.capabilities.ha.patroni.hand_over import PatroniHandOver
from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running
from dbre.tools.pgbouncer.console import ConsoleAccess
from dbre.tools.pgbouncer.route import PgBouncerRoute

pytestmark = pytest.mark.timeout(300)
_CLIENTS = 4


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def test_no_client_sees_an_error_and_nothing_acknowledged_is_lost(
    patroni_cluster: PatroniCluster, store: Store, lab_site: Site
) -> None:
    old = await patroni_cluster.wait_healthy()
    new = next(one for one in patroni_cluster.nodes if one is not old)
    async with await old.connect() as admin:
        await admin.execute("CREATE TABLE pooled (client int, number int, PRIMARY KEY (client, number))")
    pooler = PgBouncerServer(
        "patroni-pooler",
        lab_site,
        program=installed(lambda: find_pgbouncer(account=lab_site.account)),
        databases={"postgres": old.address},
        users={old.superuser: old.password},
    )
    try:
        async with running(pooler):
            acknowledged = await _switch_under_clients(patroni_cluster, store, pooler, old, new)
        present = await _pooled(await patroni_cluster.wait_healthy())
    finally:
        async with await (await patroni_cluster.wait_healthy()).connect() as admin:
            await admin.execute("DROP TABLE pooled")
    assert acknowledged <= present


async def _switch_under_clients(
    cluster: PatroniCluster, store: Store, pooler: PgBouncerServer, old: PatroniServer, new: PatroniServer
) -> set[tuple[int, int]]:
    """What was acknowledged to the clients, none of whom saw an error."""
    access = ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
    route = PgBouncerRoute("pool", access, ["postgres"], file=pooler.databases_file)
    fleet = fleet_of(cluster)
    limits = {"promote": "90s", "follow": "90s", "max_lag_time": "90s", "pause": "30s"}
    ground = replace(
        ground_of(fleet, limits=limits, routes=(route,)),
        hand_over_of=lambda _: PatroniHandOver(document_of(cluster), fleet, SystemClock()),
    )
    acknowledged: set[tuple[int, int]] = set()
    conninfo = pooler.conninfo(database="postgres", user=old.superuser)
    writing = [asyncio.create_task(_write(conninfo, client, acknowledged)) for client in range(_CLIENTS)]
    try:
        await _more(acknowledged)
        record = await Walker(store=store, ground=ground).switch(to=f"db-{new.name}")
        assert record.state is OperationState.SUCCEEDED, record.error
        assert steps_of(record) == ["pause-routes", "hand-over", "turn-routes"]
        await _more(acknowledged)
        assert not [one for one in writing if one.done()]
    finally:
        for one in writing:
            one.cancel()
        ended = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * _CLIENTS, ended
    return acknowledged


async def _write(conninfo: str, client: int, acknowledged: set[tuple[int, int]]) -> None:
    """As fast as it is let; any error ends it."""
    number = 0
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        while True:
            number += 1
            await connection.execute("INSERT INTO pooled VALUES (%s, %s)", [client, number])
            acknowledged.add((client, number))


async def _more(acknowledged: set[tuple[int, int]]) -> None:
    goal = len(acknowledged) + 50
    async with asyncio.timeout(60):
        while len(acknowledged) < goal:  # noqa: ASYNC110 -- an outcome is polled for
            await asyncio.sleep(0.01)


async def _pooled(server: PatroniServer) -> set[tuple[int, int]]:
    async with await server.connect() as admin:
        rows = await (await admin.execute("SELECT client, number FROM pooled")).fetchall()
    return {(int(client), int(number)) for client, number in rows}
