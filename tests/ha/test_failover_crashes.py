"""Whoever runs a failover is killed with SIGKILL, and another one goes on: one primary, nothing lost, the old one stays out."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, results
from kill_kit import Failpoints, die_in
from rejoin_kit import caught_up, receives
from switchover_kit import entries, roles, write

from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = pytest.mark.slow

BY_A_PERSON = {"auto": False, "observers": []}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


async def quick_receivers(pair: PostgresPair) -> None:
    """A primary that is frozen is given up within a second."""
    for server in (pair.primary, pair.replica):
        async with await server.connect() as admin:
            await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
            await admin.execute("SELECT pg_reload_conf()")


async def allowed(shop: Shop) -> UUID:
    """The operation, once nothing speaks against it: a receiver takes a moment to notice."""
    end = time.monotonic() + 60
    while True:
        try:
            return await shop.submit(accept_loss=True)
        except FailoverRefused:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)


async def killed_and_resumed(pair: PostgresPair, url: str, number: int) -> bool:
    """Kill who runs it at one moment, go on with another; whether the operation had not ended before that moment."""
    servers = {"n1": pair.primary, "n2": pair.replica}
    (old,) = [name for name, role in (await roles(servers)).items() if role is Role.PRIMARY]
    new = "n2" if old == "n1" else "n1"
    await write(servers[old], f"before {number}")
    await caught_up(servers[old], servers[new])
    async with open_store(url, clock=CLOCK) as opened:
        shop = Shop(fleet=fleet_with_control("postgresql", servers), store=opened)
        shop.failover |= BY_A_PERSON
        await (servers[old].freeze() if number % 2 else servers[old].stop())
        operation = await allowed(shop)
    if not await asyncio.to_thread(
        die_in, url, lambda mine: replace(shop, store=mine).run(operation, hooks=Failpoints(number))
    ):
        return False
    async with open_store(url, clock=CLOCK) as opened:
        record = await replace(shop, store=opened).run(operation)
    assert record.state is OperationState.SUCCEEDED, (number, record.error)
    assert results(record)["fence"]["seen"] == "no process is left"
    assert not servers[old].processes()
    await write(servers[new], f"after {number}")

    await servers[old].start()  # by whomever: it was barred
    assert await roles(servers) == {new: Role.PRIMARY, old: Role.REPLICA}
    assert {f"before {number}", f"after {number}"} <= set(await entries(servers[new]))
    await receives(servers[old], results(record)["promote"]["timeline"])
    return True


async def test_a_failover_goes_on_where_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str) -> None:
    await quick_receivers(postgres_pair)
    assert await killed_and_resumed(postgres_pair, url, 11)  # promoted, and not recorded


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_a_failover_goes_on_wherever_it_was_killed(postgres_pair: PostgresPair, store: Store, url: str) -> None:
    await quick_receivers(postgres_pair)
    number = 0
    while await killed_and_resumed(postgres_pair, url, number := number + 1):
        pass
    assert number > 12  # claim, five steps, verification; before and after each commit
