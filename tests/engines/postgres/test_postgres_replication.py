"""Replication as PostgreSQL's primaries and replicas see it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.server import PostgresServer as Handle
from dbre.ports.replication import ReplicationStatus
from dbre.ports.session import Role
from dbre.ports.statistics import MetricFamily
from dbre.testing.fixtures import PostgresPair


async def until(
    ask: Callable[[], Awaitable[ReplicationStatus]], is_reached: Callable[[ReplicationStatus], bool]
) -> ReplicationStatus:
    for _ in range(200):
        status = await ask()
        if is_reached(status):
            return status
        await asyncio.sleep(0.05)
    pytest.fail(f"never reached: {status}")


async def test_lag_is_measured_on_both_sides_and_unknown_when_idle(postgres_pair: PostgresPair) -> None:
    engine = PostgresEngine()
    primary, replica = (engine.connect(one.access()) for one in (postgres_pair.primary, postgres_pair.replica))
    idle = await until(replica.replication.status, lambda status: status.replay_lag_bytes == 0)
    assert (idle.role, idle.is_receiving, idle.replay_lag_seconds) == (Role.REPLICA, True, None)
    assert idle.upstream == str(postgres_pair.primary.address)
    assert idle.links == ()

    async with await postgres_pair.replica.connect() as admin:
        async with await postgres_pair.primary.connect() as writer:
            await writer.execute("CREATE TABLE public.first ()")  # until a first transaction is replayed, its age is unknown
        await until(primary.replication.status, lambda status: status.links[0].replay_lag_bytes == 0)
        await admin.execute("SELECT pg_catalog.pg_wal_replay_pause()")
        async with await postgres_pair.primary.connect() as writer:
            await writer.execute("CREATE TABLE public.filling AS SELECT pg_catalog.generate_series(1, 20000) AS i")
        behind = await until(replica.replication.status, lambda status: (status.replay_lag_bytes or 0) > 500_000)
        seen = await until(primary.replication.status, lambda status: (status.links[0].replay_lag_bytes or 0) > 500_000)
        metrics = await _metrics(primary)
        await admin.execute("SELECT pg_catalog.pg_wal_replay_resume()")
    caught_up = await until(primary.replication.status, lambda status: status.links[0].replay_lag_bytes == 0)
    for handle in (primary, replica):
        await handle.aclose()

    assert behind.replay_lag_seconds is not None
    assert behind.replay_lag_seconds > 0
    (link,) = seen.links
    assert (seen.role, seen.upstream, seen.is_receiving, seen.replay_lag_bytes) == (Role.PRIMARY, None, None, None)
    assert (link.name, link.client_address, link.state, link.sync_state) == ("pg2", "127.0.0.1", "streaming", "async")
    (sample,) = metrics["pg_stat_replication_pg_wal_lsn_diff"].samples
    assert sample.value > 500_000
    assert sample.labels["application_name"] == "pg2"
    assert metrics["pg_replication_lag_seconds"].samples[0].value == 0
    assert metrics["pg_replication_slot_slot_is_active"].samples[0].value == 1
    assert caught_up.links[0].flush_lag_bytes == 0


async def _metrics(handle: Handle) -> dict[str, MetricFamily]:
    return {family.name: family for family in await handle.statistics.collect("replication")}


async def test_a_replica_without_its_primary_receives_nothing(postgres_pair: PostgresPair) -> None:
    replica = PostgresEngine().connect(postgres_pair.replica.access())
    await postgres_pair.primary.kill()
    status = await until(replica.replication.status, lambda status: status.is_receiving is False)
    identity = await replica.session.identify()
    is_replica = (await _metrics(replica))["pg_replication_is_replica"].samples[0].value
    await replica.aclose()
    assert (status.role, status.upstream) == (Role.REPLICA, None)
    assert (identity.role, identity.is_read_only) == (Role.REPLICA, True)
    assert is_replica == 1


async def test_logical_subscribers_are_not_replicas(postgres_pair: PostgresPair) -> None:
    """They hold positions in ``pg_stat_replication`` too, and no promotion can use them."""
    primary = postgres_pair.primary
    async with await primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET wal_level = logical")
    await primary.stop()
    await primary.start()
    handle = PostgresEngine().connect(primary.access())
    async with await primary.connect() as admin:
        await admin.execute("SELECT pg_catalog.pg_create_logical_replication_slot('subscriber', 'pgoutput')")
        await admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    program = await asyncio.create_subprocess_exec(
        str(primary.binaries.program("pg_recvlogical")),
        f"--dbname={primary.conninfo()}",
        "--slot=subscriber",
        "--start",
        "--option=proto_version=1",
        "--option=publication_names=everything",
        "--file=-",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with await primary.connect() as admin:
            for _ in range(200):
                cursor = await admin.execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication")
                if await cursor.fetchone() == (2,):
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail("the logical subscriber never appeared beside the replica")
        status = await handle.replication.status()
    finally:
        program.kill()
        await program.wait()
        await handle.aclose()
    assert [link.name for link in status.links] == ["pg2"]
