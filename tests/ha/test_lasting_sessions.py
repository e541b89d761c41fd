"""An observer's questions go on from round to round, and leave no session on a server, however they end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from ha_live import Engines, fleet_of, until

from dbre.capabilities.ha.detection.lasting import ANEW_EVERY, LastingNodes
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.clock import SystemClock
from dbre.core.fleet import Fleet
from dbre.lab.postgres import PostgresServer
from dbre.ports.topology import Contact

_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'dbre:ha%' ORDER BY pid"


@pytest.fixture
def shop(postgres15: PostgresServer) -> Fleet:
    return fleet_of("postgresql", {"n1": postgres15}, database="postgres")


async def sessions(server: PostgresServer) -> Sequence[int]:
    async with await server.connect() as connection:
        return [int(row[0]) for row in await (await connection.execute(_OURS)).fetchall()]


@asynccontextmanager
async def standing_still(server: PostgresServer) -> AsyncIterator[None]:
    await server.freeze()
    try:
        yield
    finally:
        await server.thaw()


def lasting(fleet: Fleet, limit_seconds: float) -> LastingNodes:
    return LastingNodes(Engines(), fleet, SystemClock(), limit_seconds=limit_seconds)


async def test_one_session_that_is_made_anew_now_and_then(shop: Fleet, postgres15: PostgresServer) -> None:
    (instance,) = shop.clusters[0].instances
    async with lasting(shop, 30.0) as nodes:
        await nodes.prepare(["shop"])
        seen = set()
        for _ in range(2):
            for _ in range(ANEW_EVERY // 2):
                assert (await nodes.ask(instance)).contact is Contact.ANSWERED
            seen |= set(await sessions(postgres15))
        assert len(seen) == 1
        assert (await nodes.ask(instance)).contact is Contact.ANSWERED
        after = await until(lambda: sessions(postgres15), lambda found: len(found) == 1)
        assert set(after) != seen, "nobody has proved that logins work"
    assert await until(lambda: sessions(postgres15), lambda found: not found) == []


@pytest.mark.soak
async def test_questions_to_a_server_that_stands_still_are_given_up_with_their_sessions(
    shop: Fleet, postgres15: PostgresServer
) -> None:
    (instance,) = shop.clusters[0].instances
    async with lasting(shop, 0.8) as nodes:
        await nodes.prepare(["shop"])
        async with standing_still(postgres15):
            for _ in range(4):  # long enough for the second question
                assert (await nodes.ask(instance)).contact is Contact.TIMEOUT
        end = asyncio.get_running_loop().time() + 60
        while (await nodes.ask(instance)).contact is not Contact.ANSWERED:
            assert asyncio.get_running_loop().time() < end
        assert len(await until(lambda: sessions(postgres15), lambda found: len(found) == 1)) == 1
        async with standing_still(postgres15):
            assert (await nodes.ask(instance)).contact is Contact.TIMEOUT
    assert await until(lambda: sessions(postgres15), lambda found: not found) == []


@pytest.mark.parametrize("kind", [Nodes, LastingNodes], ids=["brief", "lasting"])
async def test_who_is_cancelled_leaves_no_task_and_no_session(
    shop: Fleet, postgres15: PostgresServer, kind: type[Nodes]
) -> None:
    (instance,) = shop.clusters[0].instances
    before = asyncio.all_tasks()
    async with lasting(shop, 30.0) if kind is LastingNodes else Nodes(Engines(), shop) as nodes:
        await nodes.prepare(["shop"])
        async with standing_still(postgres15):
            asking = asyncio.create_task(nodes.ask(instance))
            await asyncio.sleep(0.02)  # it waits for the answer of the server
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await nodes.__aexit__(None, None, None)
            assert asyncio.all_tasks() == before, "somebody goes on"
    assert await until(lambda: sessions(postgres15), lambda found: not found) == []
