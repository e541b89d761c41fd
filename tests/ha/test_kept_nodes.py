"""Sessions that are kept from one sweep to the next: the same ones, not for ever, and none makes a sweep wait or lie."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, LiteralString

import pytest
from ha_live import Engines, context, fleet_of, until

from dbre.capabilities.ha.cli import status
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.kept_nodes import KEPT_SECONDS, KeptNodes
from dbre.capabilities.ha.model import Topology
from dbre.core.fleet import Fleet
from dbre.lab.postgres import PostgresServer
from dbre.ports.kept import keep
from dbre.ports.topology import Contact
from dbre.testing.clock import FakeClock

_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'dbre:ha%' ORDER BY pid"


@pytest.fixture
def shop(postgres15: PostgresServer) -> Fleet:
    return fleet_of("postgresql", {"n1": postgres15}, database="postgres")


async def sessions(server: PostgresServer) -> list[int]:
    async with await server.connect() as connection:
        return [int(row[0]) for row in await (await connection.execute(_OURS)).fetchall()]


async def tell(server: PostgresServer, *statements: LiteralString) -> None:
    async with await server.connect() as connection:
        for one in statements:
            await connection.execute(one)


async def swept(kept: KeptNodes, fleet: Fleet) -> Topology:
    async with kept.of("shop") as nodes:
        return await discover(nodes, fleet, fleet.clusters[0])


@pytest.fixture
async def kept(shop: Fleet) -> AsyncIterator[tuple[KeptNodes, FakeClock]]:
    clock = FakeClock()
    async with KeptNodes(Engines(), shop, clock) as made:
        yield made, clock


async def test_sweeps_go_on_with_the_same_session_until_nobody_has_looked_for_a_while(
    kept: tuple[KeptNodes, FakeClock], shop: Fleet, postgres15: PostgresServer
) -> None:
    nodes, clock = kept
    await swept(nodes, shop)
    (first,) = await sessions(postgres15)
    await clock.advance(KEPT_SECONDS - 1)
    await asyncio.gather(swept(nodes, shop), swept(nodes, shop))
    assert await sessions(postgres15) == [first]
    await clock.advance(KEPT_SECONDS - 1)
    assert await sessions(postgres15) == [first], "it was used meanwhile"
    await clock.advance(2)
    assert await until(lambda: sessions(postgres15), lambda found: not found) == []
    assert (await swept(nodes, shop)).nodes[0].contact is Contact.ANSWERED
    assert await until(lambda: sessions(postgres15), lambda found: len(found) == 1) != [first]


async def test_a_kept_session_tells_that_the_server_was_closed_for_writes_meanwhile(
    kept: tuple[KeptNodes, FakeClock], shop: Fleet, postgres15: PostgresServer
) -> None:
    nodes, _ = kept

    async def is_writable() -> Any:
        view = (await swept(nodes, shop)).nodes[0].view
        return view.is_writable if view is not None else None

    assert await is_writable()
    before = await sessions(postgres15)
    try:
        await tell(postgres15, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        assert await until(is_writable, lambda found: found is False) is False
        assert await sessions(postgres15) == before
    finally:
        await tell(postgres15, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    assert await until(is_writable, lambda found: found is True) is True


async def test_a_session_whose_server_stands_still_ends_its_look_in_time_and_is_not_used_again(
    kept: tuple[KeptNodes, FakeClock], shop: Fleet, postgres15: PostgresServer
) -> None:
    nodes, _ = kept
    await swept(nodes, shop)
    before = await sessions(postgres15)
    await postgres15.freeze()
    try:
        async with asyncio.timeout(60):
            assert (await swept(nodes, shop)).nodes[0].contact is Contact.TIMEOUT
    finally:
        await postgres15.thaw()
    assert (await swept(nodes, shop)).nodes[0].contact is Contact.ANSWERED
    after = await until(lambda: sessions(postgres15), lambda found: len(found) == 1)
    assert after != before


async def test_a_command_that_repeats_itself_keeps_its_session_and_closes_it_at_the_end(
    shop: Fleet, postgres15: PostgresServer
) -> None:
    here = context(shop)
    things = keep(here)
    seen = []
    for _ in range(2):
        assert (await status(here, "shop")).items[0]["primary"] == "n1"
        seen.append(await sessions(postgres15))
    await things.aclose()
    assert seen[0] == seen[1] != []
    assert await until(lambda: sessions(postgres15), lambda found: not found) == []
