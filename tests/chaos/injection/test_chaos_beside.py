"""Faults that take what runs a server with it: two Redis stand for the server and the program beside it."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from injection_kit import is_over, order_on, runner, until
from server_faults_kit import come_and_go, failure_of, until_found

from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


@pytest.fixture
async def agent(lab_site: Site, victim: RedisServer) -> AsyncIterator[RedisServer]:
    async with running(RedisServer("chaos-beside", lab_site, program=victim.program)) as server:
        yield server


async def test_both_freeze_and_both_go_on(victim: RedisServer, agent: RedisServer, tmp_path: Path) -> None:
    async def are_frozen() -> bool:
        return victim.is_frozen and agent.is_frozen

    async def is_one_frozen() -> bool:
        return agent.is_frozen and not victim.is_frozen

    await come_and_go(victim, {"freeze": ({"beside": str(agent.address)}, are_frozen)}, tmp_path, "injector")
    await come_and_go(victim, {"agent-freeze": ({"endpoints": str(agent.address)}, is_one_frozen)}, tmp_path, "injector")
    assert not victim.is_frozen
    assert not agent.is_frozen
    nobody = order_on(victim, "freeze", tmp_path, beside="127.0.0.1:1")
    assert "nobody listens at 127.0.0.1:1" in await failure_of(nobody)
    unnamed = order_on(victim, "crash", tmp_path, beside="somewhere")
    assert "is no address with a port" in await failure_of(unnamed)
    assert victim.is_running


async def test_both_die_and_their_supervisor_brings_them_back(victim: RedisServer, agent: RedisServer, tmp_path: Path) -> None:
    async def are_gone() -> bool:
        return not victim.is_running and not agent.is_running

    order = order_on(victim, "crash", tmp_path, beside=str(agent.address))
    async with runner(order) as process:
        await until_found(are_gone)
        process.kill()
        await victim.start()
        await agent.start()
        await until(partial(is_over, order))
