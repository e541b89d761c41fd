"""The canary on a real server: written, witnessed, and told where the server went back behind it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from drills_world import CLUSTER, fleet_of, make_ground, policy_of, wait_for

from dbre.capabilities.backup.catalog.canaries import insert_witness, list_witnesses
from dbre.capabilities.backup.drilling.canary_chain import ChainBounds, compare_chain
from dbre.capabilities.backup.drilling.canary_writer import CANARIES_LOST, CANARY_SEALED, CanaryWriter, witness
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import WitnessedCanary
from dbre.core.audit.entries import AuditEntry
from dbre.core.audit.reading import AuditQuery, entries
from dbre.core.clock import SystemClock
from dbre.core.events import recent
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.restored_checks import CheckOutcome


@pytest_asyncio.fixture(loop_scope="session")
async def ground(lab_site: Site, postgres15: PostgresServer, tmp_path: Path) -> AsyncIterator[BackupGround]:
    async with await postgres15.connect() as connection:
        await connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        await connection.execute("CREATE DATABASE shop")
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=SystemClock(), migrate=True) as store:
        yield make_ground(tmp_path, lab_site, store, fleet_of(postgres15), policy_of())
    async with await postgres15.connect() as connection:
        await connection.execute("DROP DATABASE shop WITH (FORCE)")


async def test_rows_are_written_and_witnessed_as_the_server_has_them(ground: BackupGround, postgres15: PostgresServer) -> None:
    async with _writing(ground):
        witnesses = await wait_for("three witnesses", lambda: _witnesses(ground, 3))
    server = ground.engines.get("postgresql").connect(_access(ground))
    try:
        rows = await server.canary.newest(100)
    finally:
        await server.aclose()
    assert compare_chain(rows, witnesses, ChainBounds(held=witnesses[-1].position)).outcome is CheckOutcome.PASS
    assert [one.sequence for one in witnesses] == list(range(1, len(witnesses) + 1))
    assert all(one.position is not None for one in witnesses)
    sealed = await _sealed(ground)
    assert [one.data["sequence"] for one in sealed] == [1]  # once an hour, and at the start
    assert sealed[0].data["hash"] == witnesses[0].hash
    assert sealed[0].subject == f"cluster/{CLUSTER}"


async def test_a_server_that_went_back_is_told_and_witnessed_anew(ground: BackupGround, postgres15: PostgresServer) -> None:
    store = _store(ground)
    async with _writing(ground):
        await wait_for("three witnesses", lambda: _witnesses(ground, 3))
    async with store.begin() as connection:  # acknowledged by a primary that was lost afterwards
        last = (await list_witnesses(connection, CLUSTER))[-1]
        for ahead in (1, 2):
            await insert_witness(connection, replace(last, sequence=last.sequence + ahead, hash=f"{ahead:064x}"))
    async with _writing(ground):
        await wait_for("it goes on", lambda: _follows(ground, last))
    async with store.read() as connection:
        witnesses = await list_witnesses(connection, CLUSTER)
        (event,) = await recent(connection, kind=CANARIES_LOST)
    assert (event.data["rows"], event.data["acknowledged_sequence"]) == (2, last.sequence + 2)
    assert [one.sequence for one in witnesses] == list(range(1, len(witnesses) + 1))


async def test_the_same_row_witnessed_twice_is_one_witness(ground: BackupGround) -> None:
    store = _store(ground)
    server = ground.engines.get("postgresql").connect(_access(ground))
    try:
        await server.canary.prepare()
        row, position = await server.canary.write()
    finally:
        await server.aclose()
    for _ in range(2):
        await witness(ground, store, CLUSTER, row, position)
    assert len(await _witnesses(ground, 1)) == 1


class _writing:  # noqa: N801 -- used as a statement
    """The writer runs inside of it."""

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(CanaryWriter(self._ground).run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _store(ground: BackupGround) -> Store:
    assert ground.store is not None
    return ground.store


def _access(ground: BackupGround):
    from dbre.ports.engine import Access

    cluster = ground.fleet.cluster(CLUSTER)
    return Access.to(cluster, cluster.instances[0].address)


async def _witnesses(ground: BackupGround, count: int) -> list[WitnessedCanary]:
    async with _store(ground).read() as connection:
        found = list(await list_witnesses(connection, CLUSTER))
    return found if len(found) >= count else []


async def _sealed(ground: BackupGround) -> list[AuditEntry]:
    async with _store(ground).read() as connection:
        return [one.entry for one in await entries(connection, AuditQuery(action=CANARY_SEALED))]


async def _follows(ground: BackupGround, last: WitnessedCanary) -> bool:
    found = {one.sequence: one for one in await _witnesses(ground, 1)}
    after = found.get(last.sequence + 1)
    return after is not None and after.hash != f"{1:064x}"
