"""A set of a policy with a log is sealed only when all the log that makes it consistent lies in every vault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import update
from taking_kit import VAULTS, Settings, Where, World, world_of

from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.taking.completing import log_coverage
from dbre.core.operation import tables
from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import PostgresPair

STREAM = {"log": {"mode": "stream"}}


@asynccontextmanager
async def keeping(world: World) -> AsyncIterator[None]:
    """The log is received meanwhile, as a control plane does."""
    task = asyncio.create_task(LogKeeper(world.ground).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.timeout(180)
async def test_a_set_is_sealed_when_its_log_is_in_every_vault(world: World) -> None:
    world = world.with_policy(**STREAM)
    async with keeping(world):
        record = await world.run("backup.take", cluster="orders")
    assert record.state == "succeeded", record.error
    one = await world.newest()
    assert one.state is SetState.SEALED
    assert one.details["includes_log"] is False
    covered = await log_coverage(world.store, one, VAULTS)
    assert covered.is_complete
    assert all(set(VAULTS) <= set(log.vaults) for log in covered.files)
    (step,) = [step for step in record.steps if step.name == "complete-log"]
    assert (step.result or {})["files"] == [log.file.name for log in covered.files]


@pytest.mark.timeout(180)
async def test_without_its_log_no_set_is_sealed_and_the_hole_is_named(world: World) -> None:
    world = world.with_policy(**STREAM)
    planned = await world.plan("backup.take", cluster="orders")
    assert any("no log file of system" in one for one in planned.plan.warnings)
    operation_id = await world.submit("backup.take", cluster="orders")
    row = tables.operation
    async with world.store.begin() as connection:  # as `dbre op set ID log-wait=4s`
        await connection.execute(update(row).where(row.c.id == operation_id).values(tuning={"log-wait": "4s"}))
    record = await world.finish(operation_id)
    assert record.state == "compensated", record.error
    assert record.error is not None
    assert record.error["code"] == "backup.log_gap"
    one = await world.newest()
    assert one.state is SetState.FAILED
    assert f"set {one.id} needs log from {one.start.text}" in record.error["message"]
    assert "--self-contained" in (record.error["hint"] or "")


async def test_a_self_contained_set_waits_for_no_archive(world: World) -> None:
    world = world.with_policy(**STREAM)
    record = await world.run("backup.take", cluster="orders", self_contained=True)
    assert record.state == "succeeded", record.error
    assert (await world.newest()).details["includes_log"] is True


def where(server: PostgresServer) -> Where:
    return Where(
        engine="postgresql",
        host=server.address.host,
        port=server.address.port,
        user=server.superuser,
        password=server.password.reveal(),
        database="postgres",
    )


async def caught_up(pair: PostgresPair) -> None:
    """Until the replica has replayed what the primary has written by now."""
    async with await pair.primary.connect() as primary, await pair.replica.connect() as replica, asyncio.timeout(60):
        row = await (await primary.execute("SELECT pg_current_wal_lsn()")).fetchone()
        assert row is not None
        while (await (await replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row)).fetchone()) != (True,):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_a_copy_of_a_replica_is_sealed_with_the_log_of_the_primary(
    world_settings: Settings, postgres_pair: PostgresPair
) -> None:
    async with await postgres_pair.primary.connect() as connection:  # a lab does without; a replica's copy needs it
        await connection.execute("ALTER SYSTEM SET full_page_writes = on")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("SELECT pg_sleep(0.2)")
        await connection.execute("CHECKPOINT")
    await caught_up(postgres_pair)
    async with await postgres_pair.replica.connect() as connection:
        await connection.execute("CHECKPOINT")
    pair = replace(world_settings, source=where(postgres_pair.primary), replica=where(postgres_pair.replica))
    async with world_of(pair) as bare:
        world = bare.with_policy(from_replica=True, **STREAM)
        async with keeping(world):
            record = await world.run("backup.take", cluster="orders")
        assert record.state == "succeeded", record.error
        one = await world.newest()
        assert (one.state, one.details["instance"]) == (SetState.SEALED, "orders-2")
        assert (await log_coverage(world.store, one, VAULTS)).is_complete
        await postgres_pair.replica.stop()
        planned = await world.plan("backup.take", cluster="orders")
        assert planned.plan.observed["instance"] == "orders-1"
        assert "no replica of orders can be copied, so the primary orders-1 is" in planned.plan.warnings
