"""An observer whose packets are lost on the way hears a living server all the same, and a dead one no longer."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import pytest_asyncio
from ha_live import Engines, fleet_of

from dbre.capabilities.ha.detection.lasting import LastingNodes
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.clock import SystemClock
from dbre.core.errors import Unsupported
from dbre.core.fleet import Fleet
from dbre.core.packets.cutting import Cut, Direction, cut, mend
from dbre.core.packets.namespaces import Namespace
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site
from dbre.testing.fixtures import leave_out, running

pytestmark = [pytest.mark.slow, pytest.mark.soak]

LOSS_PERCENT = 30
ROUNDS = 40
EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 1.0


@pytest_asyncio.fixture(loop_scope="session")
async def far() -> AsyncIterator[tuple[PostgresServer, Namespace]]:
    """A server at an address of its own, and where its packets can be lost."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with temporary_site(prefix="dbre-test-net-") as site:
        try:
            network = Network.create(site.directory)
            binaries = await find_postgres(account=site.account, cache=site.cache, version=15)
        except Unsupported as error:
            leave_out(error)
        host = network.host("pg1")
        async with running(PostgresServer("pg1", site.at(host), binaries=binaries)) as server:
            yield server, network.namespace("pg1")


@contextmanager
def losing(place: Namespace, percent: int) -> Iterator[None]:
    """Each packet, once on its way, in both directions."""
    with ExitStack() as stack:
        for direction in (Direction.IN, Direction.OUT):
            table = f"loss_{os.getpid()}_{direction.value}"
            cut(Cut(direction=direction, percent=percent), table, place)
            stack.callback(mend, table, place)
        yield


async def heard(nodes: Nodes, fleet: Fleet, rounds: int = ROUNDS) -> int:
    """In how many rounds the server gave an answer."""
    await nodes.prepare(["shop"])
    (instance,) = fleet.clusters[0].instances
    found = 0
    for _ in range(rounds):
        begun = time.monotonic()
        found += (await nodes.ask(instance)).contact.is_alive
        await asyncio.sleep(max(0.0, begun + EVERY_SECONDS - time.monotonic()))
    return found


@pytest.mark.timeout(300)
async def test_a_question_that_outlives_its_round_is_answered(far: tuple[PostgresServer, Namespace]) -> None:
    server, place = far
    fleet = fleet_of("postgresql", {"pg1": server})
    lasting = LastingNodes(Engines(), fleet, SystemClock(), limit_seconds=PATIENCE_SECONDS)
    async with lasting, Nodes(Engines(), fleet, limit_seconds=PATIENCE_SECONDS) as brief:
        with losing(place, LOSS_PERCENT):
            before, after = await asyncio.gather(heard(brief, fleet), heard(lasting, fleet))
        assert after > before
        assert after >= ROUNDS // 4
        with losing(place, 100):
            assert await heard(lasting, fleet, rounds=6) == 0
        end = time.monotonic() + 60
        while not await heard(lasting, fleet, rounds=1):
            assert time.monotonic() < end
        await server.stop()
        assert await heard(lasting, fleet, rounds=3) == 0
