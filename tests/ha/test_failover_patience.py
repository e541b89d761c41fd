"""A sweep before a failover waits for servers as long as observers had to; who is late everywhere is not taken for dead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from failover_kit import CLOCK, Shop, fleet_with_control
from test_failover_crashes import quick_receivers

from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.failover.patience import patience_of
from dbre.core.fleet import Address, Fleet
from dbre.core.store import open_store
from dbre.ports.topology import Contact
from dbre.testing.fixtures import PostgresPair

_LATE_SECONDS = 0.2  # each piece of data, one way: a login alone takes more than a second then


@asynccontextmanager
async def slow_way(to: Address) -> AsyncIterator[Address]:
    """An address that leads to a server, late."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, late: float) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await asyncio.sleep(late)
                target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await asyncio.open_connection(to.host, to.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, behind[1], _LATE_SECONDS), carry(behind[0], writer, 0.0))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])


def at(fleet: Fleet, name: str, address: Address) -> Fleet:
    (cluster,) = fleet.clusters
    instances = tuple(replace(one, address=address) if one.name == name else one for one in cluster.instances)
    return Fleet(clusters=(replace(cluster, instances=instances),))


def test_the_limit_follows_the_slowest_observer_between_its_bounds() -> None:
    def told(name: str, **seconds: float | None) -> Report:
        nodes = {node: NodeWord(contact=Contact.ANSWERED, answer_seconds=one) for node, one in seconds.items()}
        return Report(cluster="shop", observer=name, marker="m", primary="n1", nodes=nodes)

    reports = [told("a", n1=0.01, n2=0.5, n3=9.0, n4=None), told("b", n1=0.02, n2=0.4)]
    assert patience_of(reports) == {"n1": 1.0, "n2": 1.5, "n3": 5.0}
    assert patience_of([]) == {}


@pytest.mark.slow
@pytest.mark.soak
async def test_a_replica_that_is_late_everywhere_can_be_promoted(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    servers = {"n1": postgres_pair.primary, "n2": postgres_pair.replica}
    await quick_receivers(postgres_pair)
    async with (
        open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as store,
        slow_way(servers["n2"].address) as late,
    ):
        shop = Shop(fleet=at(fleet_with_control("postgresql", servers), "n2", late), store=store)
        async with shop.observed():
            await shop.until_healthy()
            await servers["n1"].stop()
            await shop.until_dead()
            found = await shop.kind(shop.ground).survey(shop.kind.document(cluster="shop"))
            assert found.decision.against == (), found.decision.against
            (told,) = [one for one in found.decision.reasons if one.rule == "primary_silent"]
            assert "for n2, as observers lately had to" in told.source
            assert found.situation.patience["n2"] > 1.0
