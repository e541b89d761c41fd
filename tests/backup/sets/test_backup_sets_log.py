"""A set of a policy with a log is sealed only when all the log that makes it consistent lies in every vault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update
from taking_kit import VAULTS, World

from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.taking.completing import log_coverage
from dbre.core.operation import tables

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
