"""Whoever fenced is killed before anybody wrote so; nothing is promoted after all, and the old primary comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, results
from kill_kit import die_in
from rejoin_kit import caught_up
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from switchover_kit import entries, roles, write
from test_failover_crashes import allowed, quick_receivers

from dbre.core.operation.states import OperationState
from dbre.core.operation.tables import operation as operation_table
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = pytest.mark.slow

_FENCE = 1  # its place in the plan, after ``confirm``


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    found = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_store(found, clock=CLOCK, exclusive=True, migrate=True):
        yield found


class DiesFenced:
    """Ends the process when the fence has acted, and nothing of it is written."""

    async def before(self, commit: str) -> None:
        if commit.startswith(f"do {_FENCE} "):
            os.kill(os.getpid(), signal.SIGKILL)

    async def after(self, commit: str) -> None: ...


async def cancelled(store: Store, operation: UUID, candidate: PostgresServer) -> None:
    row = operation_table.c
    values = {row.cancel_requested_by: "bob", row.cancel_requested_at: CLOCK.now()}

    async def write_it(connection: AsyncConnection) -> None:
        await connection.execute(update(operation_table).where(row.id == operation).values(values))

    await store.grouped(write_it)


async def gone(store: Store, operation: UUID, candidate: PostgresServer) -> None:
    await candidate.stop()


@pytest.mark.parametrize("why", [cancelled, pytest.param(gone, marks=pytest.mark.soak)], ids=lambda one: one.__name__)
async def test_who_was_stopped_by_somebody_that_died_is_started_again(
    postgres_pair: PostgresPair, url: str, why: Callable[[Store, UUID, PostgresServer], Awaitable[None]]
) -> None:
    servers = {"n1": postgres_pair.primary, "n2": postgres_pair.replica}
    await quick_receivers(postgres_pair)
    await write(servers["n1"], "before")
    await caught_up(servers["n1"], servers["n2"])
    async with open_store(url, clock=CLOCK) as opened:
        shop = Shop(fleet=fleet_with_control("postgresql", servers), store=opened)
        shop.failover |= {"auto": False, "observers": []}
        await servers["n1"].freeze()
        operation = await allowed(shop)
    assert await asyncio.to_thread(die_in, url, lambda mine: replace(shop, store=mine).run(operation, hooks=DiesFenced()))
    assert not servers["n1"].processes()
    async with open_store(url, clock=CLOCK) as opened:
        await why(opened, operation, servers["n2"])
        record = await replace(shop, store=opened).run(operation)
    assert record.state is OperationState.COMPENSATED, record.error
    assert results(record)["confirm"]["standing"] == {"control": True}
    undone = {one.name: one.result or {} for one in record.steps if one.phase == "undo"}
    assert undone["fence"] == {"released": "started again as what it was", "left": []}
    here = {name: one for name, one in servers.items() if one.is_running}
    assert (await roles(here))["n1"] is Role.PRIMARY
    await write(servers["n1"], "after")
    assert {"before", "after"} <= set(await entries(servers["n1"]))
