"""Negative controls: what asynchronous replication loses must be seen, to the row; and what is not lost must not."""

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncmy
import psycopg
import pytest
from ha_live import Engines, fleet_of
from truth_kit import clients_of, promote, until_acknowledged, until_silent

from dbre.capabilities.ha.clients.records import acts_of
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.backup.model import Place
from dbre.ports.forks import ForkOrder
from dbre.testing.fixtures import PostgresPair, running

pytestmark = pytest.mark.slow


async def _freeze_replication(pair: PostgresPair) -> None:
    """Stop the process that sends the log: what is acknowledged from now on reaches nobody else."""
    async with await psycopg.AsyncConnection.connect(pair.primary.conninfo(), autocommit=True) as connection:
        row = await (await connection.execute("SELECT pid FROM pg_stat_replication")).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)


async def test_what_asynchronous_replication_loses_is_lost(postgres_pair: PostgresPair, lab_site: Site, tmp_path: Path) -> None:
    await postgres_pair.replica.wait_streaming()
    fleet = fleet_of("postgresql", {"pg1": postgres_pair.primary, "pg2": postgres_pair.replica}, database="postgres")
    async with clients_of(fleet, tmp_path / "lost.jsonl", clients=2) as clients:
        await until_acknowledged(clients, 100)
        await _freeze_replication(postgres_pair)
        await until_acknowledged(clients, 100)
        await postgres_pair.primary.kill()
        clients.mark()
        await until_silent(clients)
        await promote(postgres_pair.replica)
        await until_acknowledged(clients, 100, by=str(postgres_pair.replica.address))
        truth = await clients.finish()

    # The files of the old primary say the same: these very rows were committed there, and nowhere else.
    forks = Engines().get("postgresql").forks(Place(account=lab_site.account, cache=lab_site.cache))
    order = ForkOrder(
        directory=postgres_pair.primary.data_directory, survivor=postgres_pair.replica.access(database="postgres")
    )
    changes = (await forks.lost_writes(order)).changes
    assert sorted(truth.lost) == sorted(json.loads(one.row or "")["id"] for one in changes)
    async with await psycopg.AsyncConnection.connect(postgres_pair.replica.conninfo(), autocommit=True) as connection:
        cursor = await connection.execute("SELECT id FROM dbre.client_ledger WHERE run = %s", (clients.run,))
        stored = {row[0] for row in await cursor.fetchall()}
    assert truth.verdict.verdict == "anomaly"
    assert {one.name for one in truth.verdict.anomalies if one.is_violation} == {"lost"}
    assert len(truth.lost) >= 90
    assert not stored & set(truth.lost)
    assert truth.balance is not None
    assert (truth.balance.duplicate, truth.balance.resurrected, truth.balance.unexpected) == ([], [], [])
    assert [one.node for one in truth.nodes] == ["pg1", "pg2"]
    assert truth.overlap == 0
    assert truth.timing.outage is not None
    assert truth.timing.outage.seconds >= 1
    assert truth.timing.first_ack_seconds is not None
    assert 0 < truth.timing.first_ack_seconds <= truth.timing.outage.seconds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lost.jsonl"]
    assert (tmp_path / "lost.jsonl").stat().st_mode & 0o777 == 0o600


async def test_a_synchronous_pair_loses_nothing(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    """Frozen replication holds the acknowledgements up: what clients were not told may be gone, and is not lost."""
    pair = postgres_pair
    await pair.replica.wait_streaming()
    async with await psycopg.AsyncConnection.connect(pair.primary.conninfo(), autocommit=True) as connection:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await pair.primary.stop()
    await pair.primary.start()  # a reload would be heeded by each process when it comes to it
    await pair.replica.wait_streaming()
    fleet = fleet_of("postgresql", {"pg1": pair.primary, "pg2": pair.replica}, database="postgres")
    async with clients_of(fleet, tmp_path / "kept.jsonl", deadline_seconds=0.5) as clients:
        await until_acknowledged(clients, 50)
        await _freeze_replication(pair)
        await until_silent(clients)
        await pair.primary.kill()
        await promote(pair.replica)
        await until_acknowledged(clients, 50, by=str(pair.replica.address))
        truth = await clients.finish()
    assert truth.verdict.verdict == "ok", truth.verdict
    assert truth.lost == []
    assert truth.unknown > 0


@pytest.mark.soak
async def test_two_primaries_are_seen(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    """Promoted beside a living primary: clients that know only the old one, and such that know only the new one."""
    pair = postgres_pair
    await pair.replica.wait_streaming()
    fleet = fleet_of("postgresql", {"pg1": pair.primary, "pg2": pair.replica}, database="postgres")
    async with clients_of(fleet, tmp_path / "split.jsonl", connections=1, rate=50) as clients:
        await until_acknowledged(clients, 20)
        await promote(pair.replica)
        other = fleet_of("postgresql", {"pg2": pair.replica}, database="postgres")
        async with clients_of(other, tmp_path / "other.jsonl", rate=20) as second:
            await until_acknowledged(second, 10)
            await until_acknowledged(clients, 10)
            assert (await second.finish()).verdict.verdict == "ok"
        await pair.primary.kill()
        await until_acknowledged(clients, 10, by=str(pair.replica.address))
        truth = await clients.finish()
    assert len(truth.lost) >= 10  # what the old primary went on to acknowledge
    assert truth.overlap == 0  # these clients saw one after the other; those of several vantage points would see both


async def test_redis_loses_what_a_cut_link_did_not_carry(redis_server: RedisServer, lab_site: Site, tmp_path: Path) -> None:
    async with (
        running(RedisServer("truth-r1", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("truth-r2", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        await replica.wait_streaming()
        fleet = fleet_of("redis", {"r1": primary, "r2": replica})
        async with clients_of(fleet, tmp_path / "redis.jsonl") as clients:
            await until_acknowledged(clients, 50)
            await replica._ask("REPLICAOF 127.0.0.1 1")
            await until_acknowledged(clients, 50)
            await primary.kill()
            await until_silent(clients)
            await replica._ask("REPLICAOF NO ONE")
            await until_acknowledged(clients, 50, by=str(replica.address))
            truth = await clients.finish()
    assert len(truth.lost) >= 40
    assert {one.name for one in truth.verdict.anomalies if one.is_violation} == {"lost"}
    assert [one.node for one in truth.nodes] == ["r1", "r2"]


@pytest.mark.soak
async def test_mariadb_loses_what_a_stopped_link_did_not_carry(mariadb: MariaDbServer, lab_site: Site, tmp_path: Path) -> None:
    async with (
        running(MariaDbServer("truth-m1", lab_site, program=mariadb.program)) as primary,
        running(MariaDbServer("truth-m2", lab_site, program=mariadb.program, replica_of=primary)) as replica,
    ):
        fleet = fleet_of("mysql", {"m1": primary, "m2": replica})
        async with clients_of(fleet, tmp_path / "mariadb.jsonl") as clients:
            await until_acknowledged(clients, 50)
            await _execute(replica, "STOP SLAVE IO_THREAD")
            await until_acknowledged(clients, 50)
            await primary.kill()
            await until_silent(clients)
            await _execute(replica, "STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")
            await until_acknowledged(clients, 50, by=str(replica.address))
            truth = await clients.finish()
    assert len(truth.lost) >= 40
    assert {one.name for one in truth.verdict.anomalies if one.is_violation} == {"lost"}
    assert [one.node for one in truth.nodes] == ["m1", "m2"]


async def _execute(server: MariaDbServer, *statements: str) -> None:
    login = {"user": server.superuser, "password": server.password.reveal()}
    connection = await asyncmy.connect(host=server.address.host, port=server.address.port, autocommit=True, **login)
    async with connection.cursor() as cursor:
        for one in statements:
            await cursor.execute(one)
    connection.close()


async def test_what_clients_saw_is_kept_where_nobody_came_to_finish(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    fleet = fleet_of("postgresql", {"pg1": postgres_pair.primary}, database="postgres")
    async with clients_of(fleet, tmp_path / "h.jsonl") as clients:
        await until_acknowledged(clients, 10)
    assert [one.name for one in tmp_path.iterdir()] == ["h.jsonl"]
    assert sum(act.kind == "ok" for act in acts_of(tmp_path / "h.jsonl")) >= 10


async def test_no_client_outlives_the_one_who_started_it(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    fleet = fleet_of("postgresql", {"pg1": postgres_pair.primary}, database="postgres")
    async with clients_of(fleet, tmp_path / "h.jsonl", clients=2) as clients:
        await until_acknowledged(clients, 10)
        processes = [one._process for one in clients._workers]
        processes[0].send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            truth = await clients.finish()
    assert [one.returncode for one in processes] == [-signal.SIGKILL, 0]
    assert truth.verdict.verdict == "unknown"  # what the dead one saw last is not known
    assert "gone" in truth.warnings[0]
    assert truth.lost == []
