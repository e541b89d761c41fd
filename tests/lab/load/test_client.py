"""The load sees what a client sees: an outage is as long as it was, and no acknowledged write is forgotten."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dbre.core.errors import Unreachable, Unsupported
from dbre.core.fleet import Address
from dbre.lab.errors import LabError
from dbre.lab.free_port import choose_port
from dbre.lab.load import LoadClient, LoadKind, LoadPlan, LoadTarget
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.testing.fixtures import PostgresPair

RATE = 50.0
PLAN = LoadPlan(rate=RATE, duration_seconds=None, deadline_seconds=0.4)


def target(*servers: LabServer) -> LoadTarget:
    first = servers[0]
    return LoadTarget(
        engine=first.engine,
        addresses=tuple(one.address for one in servers),
        user=first.superuser,
        password=first.password,
        database=first.default_database,
    )


async def outage(server: LabServer, act: str) -> None:
    if act == "freeze":
        await server.freeze()
        await asyncio.sleep(1.5)
        await server.thaw()
    else:
        await server.kill()
        await asyncio.sleep(1.0)
        await server.start()


@pytest.mark.parametrize("act", ["freeze", "kill"])
async def test_an_outage_is_counted_on_the_schedule(act: str, fresh_postgres: PostgresServer) -> None:
    client = LoadClient(target(fresh_postgres), PLAN)
    running = asyncio.create_task(client.run())
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await outage(fresh_postgres, act)
    suffered = asyncio.get_running_loop().time() - began
    await asyncio.sleep(1)
    client.stop()
    report = await running
    assert report.scheduled == pytest.approx((suffered + 2) * RATE, abs=0.5 * RATE)
    for summary in (report.writes, report.reads):
        lasted = sum(one.seconds for one in summary.outages)
        # Operations due in the last 0.4 s of a freeze still get their answer in time: they are late, not failed.
        shortest = suffered - PLAN.deadline_seconds if act == "freeze" else suffered
        assert shortest - 0.2 <= lasted <= suffered + 0.5
        assert summary.failed == pytest.approx(lasted * RATE / 2, abs=3)
        assert summary.missed == 0
    if act == "freeze":
        assert report.late > 0
        assert report.outages[0].reason == "no answer by the deadline"
    audit = await client.audit()
    assert audit.is_clean
    assert len(report.ledger.acknowledged) == report.writes.succeeded


@pytest.mark.parametrize("engine", ["mariadb", "redis_server"])
def test_other_engines_are_loaded_in_the_same_way(engine: str, request: pytest.FixtureRequest) -> None:
    server: MariaDbServer | RedisServer = request.getfixturevalue(engine)

    async def scenario() -> None:
        client = LoadClient(target(server), PLAN)
        running = asyncio.create_task(client.run())
        await asyncio.sleep(0.6)
        now = asyncio.get_running_loop().time
        frozen = now()
        await outage(server, "freeze")
        thawed = now()
        await asyncio.sleep(0.4)
        killed = now()
        await outage(server, "kill")
        suffered = thawed - frozen - PLAN.deadline_seconds + now() - killed
        await asyncio.sleep(1)
        client.stop()
        report = await running
        assert report.writes.succeeded > 20
        assert sum(one.seconds for one in report.writes.outages) == pytest.approx(suffered, abs=1.0)
        assert (await client.audit()).is_clean

    asyncio.run(scenario())


async def test_writes_find_the_primary_among_all_servers(postgres_pair: PostgresPair) -> None:
    client = LoadClient(target(postgres_pair.replica, postgres_pair.primary), replace(PLAN, duration_seconds=0.5))
    report = await client.run()
    assert report.failed == 0
    assert report.writes.succeeded == pytest.approx(0.5 * RATE / 2, abs=2)


async def test_the_audit_finds_an_acknowledged_write_that_is_gone(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    client = LoadClient(target(fresh_postgres), replace(PLAN, duration_seconds=0.5), ledger_file=file)
    report = await client.run()
    async with await fresh_postgres.connect() as connection:
        await connection.execute("DELETE FROM public.lab_ledger WHERE sequence IN (3, 5)")
    audit = await client.audit()
    assert audit.lost == (3, 5)
    assert not audit.is_clean
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(line["sequence"] for line in lines if line["acknowledged"]) == list(report.ledger.acknowledged)


async def test_a_ledger_is_never_overwritten(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    file.write_text("precious\n")
    client = LoadClient(target(fresh_postgres), PLAN, ledger_file=file)
    with pytest.raises(LabError, match=r"ledger\.jsonl cannot be made: File exists"):
        await client.run()
    assert file.read_text() == "precious\n"


async def test_a_client_that_was_held_up_itself_does_not_blame_the_database(fresh_postgres: PostgresServer) -> None:
    """A pause of our own process, as by a debugger or a starved machine: nothing is said of the database."""
    client = LoadClient(target(fresh_postgres), PLAN)
    running = asyncio.create_task(client.run())
    await asyncio.sleep(0.5)
    block(1.5)
    await asyncio.sleep(0.5)
    client.stop()
    report = await running
    assert report.writes.missed + report.reads.missed == pytest.approx(1.1 * RATE, abs=0.3 * RATE)
    assert report.failed <= 4  # those in flight when the pause began


def block(seconds: float) -> None:

    time.sleep(seconds)


async def test_a_database_that_is_not_there_is_said_before_the_run(postgres18: PostgresServer) -> None:
    nowhere = replace(target(postgres18), addresses=(Address("127.0.0.1", choose_port()),))
    with pytest.raises(Unreachable, match=r"the load cannot begin: Connection refused at 127\.0\.0\.1:"):
        await LoadClient(nowhere, PLAN).run()


def test_a_report_before_the_run_is_an_error(postgres18: PostgresServer) -> None:
    with pytest.raises(LabError, match="has not begun"):
        LoadClient(target(postgres18), PLAN).report()


def test_a_missing_driver_names_the_extra(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "redis" or name.startswith(("redis.", "dbre.lab.redis_load"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Unsupported, match="needs the package redis") as caught:
        LoadClient(target(redis_server), PLAN)
    assert caught.value.hint == "pip install 'dbre[redis]'"


def test_an_engine_without_a_load_is_refused(postgres18: PostgresServer) -> None:
    with pytest.raises(Unsupported, match="no load for engine 'oracle'"):
        LoadClient(replace(target(postgres18), engine="oracle"), PLAN)


async def test_the_kinds_of_operation_alternate(postgres18: PostgresServer) -> None:
    report = await LoadClient(target(postgres18), LoadPlan(rate=40, duration_seconds=0.5)).run()
    assert report.writes.kind is LoadKind.WRITE
    assert (report.writes.scheduled, report.reads.scheduled) == (10, 10)
