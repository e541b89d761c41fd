"""The rows that a primary acknowledged after its replica had been promoted without them, on real forks."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from ha_live import Engines

from dbre.core.errors import PrecheckFailed, Unsupported
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.model import Place
from dbre.ports.forks import ForkOrder, ForkPort, LostWrites, NotForked
from dbre.testing.fixtures import PostgresPair, leave_out, running

pytestmark = pytest.mark.slow

_ROWS = "INSERT INTO orders SELECT n, 'before', n * 1.10 FROM generate_series(1, 400) AS n"
_LOST = (
    "INSERT INTO orders VALUES (1001, 'new', 0.1234567890123456789)",
    "UPDATE orders SET what = 'changed' WHERE id = 7",
    "UPDATE orders SET what = repeat('far', 2000) WHERE id = 8",  # too large for its page
    "DELETE FROM orders WHERE id IN (9, 10)",
    "INSERT INTO orders VALUES (1002, 'gone again', 1); DELETE FROM orders WHERE id = 1002",
    "UPDATE orders SET what = 'once' WHERE id = 11; UPDATE orders SET what = 'twice' WHERE id = 11",
    "BEGIN; INSERT INTO orders VALUES (1003, 'rolled back', 1); ROLLBACK",
    "BEGIN; INSERT INTO orders VALUES (1004, 'top', 1); SAVEPOINT s; INSERT INTO orders VALUES (1005, 'sub', 1); COMMIT",
    "INSERT INTO orders SELECT n, 'many', n FROM generate_series(2001, 2050) AS n",
    'INSERT INTO "Other ""Schema"""."Tab.le" VALUES (\'hostile\')',
    "CREATE TABLE later (i int)",
)


@pytest_asyncio.fixture(params=[15, pytest.param(16, marks=pytest.mark.soak), 18], ids=["15", "16", "18"], loop_scope="session")
async def pair(request: pytest.FixtureRequest, lab_site: Site) -> AsyncIterator[PostgresPair]:
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=request.param)
    except Unsupported as error:
        leave_out(error)
    old, new = f"fork{request.param}a", f"fork{request.param}b"
    async with (
        running(PostgresServer(old, lab_site, binaries=binaries, settings={"autovacuum": "off"})) as primary,
        running(PostgresServer(new, lab_site, binaries=binaries, replica_of=primary)) as replica,
    ):
        yield PostgresPair(primary=primary, replica=replica)


async def run(server: PostgresServer, *statements: str) -> list[Any]:
    async with await psycopg.AsyncConnection.connect(server.conninfo(), autocommit=True) as connection:
        for one in statements:
            cursor = await connection.execute(one)
        return await cursor.fetchall() if cursor.description else []


async def diverge(pair: PostgresPair) -> None:
    """Rows on both, then some on the old primary alone, which is killed."""
    await run(
        pair.primary,
        "CREATE TABLE orders (id int PRIMARY KEY, what text, price numeric)",
        'CREATE SCHEMA "Other ""Schema"""',
        'CREATE TABLE "Other ""Schema"""."Tab.le" (what text)',
        _ROWS,
        "CHECKPOINT",
    )
    ((position,),) = await run(pair.primary, "SELECT pg_current_wal_lsn()")
    end = time.monotonic() + 60
    while not (await run(pair.replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))[0][0]:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    ((sender,),) = await run(pair.primary, "SELECT pid FROM pg_stat_replication")
    os.kill(sender, signal.SIGSTOP)
    await run(pair.primary, *_LOST)
    await pair.primary.kill()
    await run(pair.replica, "SELECT pg_promote(true, 60)", "INSERT INTO orders VALUES (1001, 'somebody else', 2)")


def forks(site: Site) -> ForkPort:
    return Engines().get("postgresql").forks(Place(account=site.account, cache=site.cache))


async def test_every_row_that_was_lost_and_no_other(pair: PostgresPair, lab_site: Site) -> None:
    await diverge(pair)
    files = {path: path.stat().st_mtime_ns for path in pair.primary.data_directory.rglob("*")}
    order = ForkOrder(directory=pair.primary.data_directory, survivor=pair.replica.access(database="postgres"))
    found = await forks(lab_site).lost_writes(order)

    assert found.timeline == 1
    orders = {
        (one.kind.value, json.loads(one.row or one.before or "{}").get("id")): one
        for one in found.changes
        if one.table == "orders"
    }
    many = {("insert", number) for number in range(2001, 2051)}
    assert set(orders) - many == {
        ("insert", 1001),
        ("update", 7),
        ("update", 8),
        ("delete", 9),
        ("delete", 10),
        ("update", 11),
        ("insert", 1004),
        ("insert", 1005),
    }
    assert many <= set(orders)
    assert '"price":0.1234567890123456789' in (orders["insert", 1001].row or "")
    assert json.loads(orders["update", 7].before or "") == {"id": 7, "what": "before", "price": 7.7}
    assert json.loads(orders["update", 8].row or "")["what"] == "far" * 2000
    assert json.loads(orders["update", 11].row or "")["what"] == "twice"
    assert json.loads(orders["update", 11].before or "")["what"] == "before"
    assert orders["insert", 1004].transaction == orders["insert", 1005].transaction
    assert [one.row for one in found.changes if one.table == "Tab.le"] == ['{"what":"hostile"}']
    assert any("definitions" in note for note in found.notes)
    assert found.changes == sorted(found.changes, key=lambda one: one.committed_at)
    # Evidence stays as it was.
    assert {path: path.stat().st_mtime_ns for path in pair.primary.data_directory.rglob("*")} == files


async def test_what_is_refused(postgres_pair: PostgresPair, lab_site: Site) -> None:
    port, primary, replica = forks(lab_site), postgres_pair.primary, postgres_pair.replica
    directory = primary.data_directory
    with pytest.raises(PrecheckFailed, match="a server runs in"):
        await port.lost_writes(ForkOrder(directory=directory, survivor=replica.access()))
    await primary.kill()
    with pytest.raises(NotForked, match="did not leave timeline 1"):
        await port.lost_writes(ForkOrder(directory=directory, survivor=replica.access()))
    with pytest.raises(NotForked, match="nobody says where"):
        await port.lost_writes(ForkOrder(directory=directory, survivor=None))
    with pytest.raises(PrecheckFailed, match="no directory can be made"):
        await port.lost_writes(ForkOrder(directory=directory, survivor=None, work=Path("/nonexistent")))


async def test_a_fork_after_which_nothing_was_committed(postgres_pair: PostgresPair, lab_site: Site) -> None:
    await postgres_pair.replica.wait_streaming()
    await postgres_pair.primary.stop()
    await run(postgres_pair.replica, "SELECT pg_promote(true, 60)")
    order = ForkOrder(directory=postgres_pair.primary.data_directory, survivor=postgres_pair.replica.access())
    found: LostWrites = await forks(lab_site).lost_writes(order)
    assert (found.transactions, found.changes) == (0, [])
