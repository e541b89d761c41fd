"""SIGKILL at every commit of the journal and in the middle of a copy: one sealed set comes of it, and nothing else is left."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from forks_kit import Forks, forks_of
from taking_child import DURING_COPY, Failpoints, order
from taking_kit import World

from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.reading_back import read_back
from dbre.capabilities.backup.taking.staging import staged_ids
from dbre.capabilities.backup.taking.vaults import open_set_vault

CHILD = Path(__file__).with_name("taking_child.py")
ONE_VAULT = {"vaults": ["near"]}


@pytest_asyncio.fixture(loop_scope="session")
async def forks() -> AsyncIterator[Forks]:
    async with forks_of(CHILD) as made:
        yield made


async def check(world: World, expected: int) -> None:
    """So many sealed sets, each in the vault and good, and no copy in clear text."""
    sets = (await world.catalog()).sets
    assert [one.state for one in sets] == [SetState.SEALED] * expected
    assert staged_ids(world.ground) == ()
    async with open_set_vault(world.ground, "near") as vault:
        assert {one.id for one in (await vault.catalog("orders")).sets} == {one.id for one in sets}


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_sigkill_before_every_commit_leaves_one_sealed_set(world: World, forks: Forks) -> None:
    world = world.with_policy(**ONE_VAULT)
    points = Failpoints(None)
    first = await world.submit("backup.take", cluster="orders", kind="full")
    await world.runner(points).run(first)
    moments = [one for one in points.seen if one.startswith("before")]
    assert len(moments) == 7, "a claim, five steps and the verification"
    for number, moment in enumerate(moments, 2):
        operation_id = await world.submit("backup.take", cluster="orders", kind="auto")
        assert await forks.run(order(world.settings, operation_id, moment)) == signal.SIGKILL, moment
        await world.free(operation_id)
        record = await world.finish(operation_id)
        assert record.state == "succeeded", (moment, record.error)
        await check(world, number)
    assert (await read_back(world.ground, await world.newest(), "near")).is_good


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_sigkill_in_the_middle_of_a_copy_uses_nothing_of_it(world: World, forks: Forks) -> None:
    world = world.with_policy(**ONE_VAULT)
    operation_id = await world.submit("backup.take", cluster="orders", kind="full")
    assert await forks.run(order(world.settings, operation_id, DURING_COPY)) == signal.SIGKILL
    await world.free(operation_id)
    record = await world.finish(operation_id)
    assert record.state == "succeeded", record.error
    await check(world, 1)
    assert (await read_back(world.ground, await world.newest(), "near")).is_good
