"""Clients behind a PgBouncer see a planned change of primary as one slow statement, and never as an error."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from switchover_kit import Walker, controlled, entries, ground_of

from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import SystemClock
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.pgbouncer.console import ConsoleAccess
from dbre.tools.pgbouncer.route import PgBouncerRoute


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def test_there_and_back_without_an_error(postgres_pair: PostgresPair, store: Store, lab_site: Site) -> None:
    old, new = postgres_pair.primary, postgres_pair.replica
    async with await old.connect() as admin:
        await admin.execute("CREATE TABLE ledger (entry text)")
    pooler = PgBouncerServer(
        "sw-pooler",
        lab_site,
        program=installed(lambda: find_pgbouncer(account=lab_site.account)),
        databases={"postgres": old.address},
        users={old.superuser: old.password},
    )
    async with running(pooler):
        access = ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
        route = PgBouncerRoute("pool", access, ["postgres"], file=pooler.databases_file)
        fleet = controlled("postgresql", {"n1": old, "n2": new})
        walker = Walker(store=store, ground=ground_of(fleet, routes=(route,), store=store))
        assert await rehearsed(walker.ground, to="n2") == (CheckState.WARN, "1 route, never turned by dbre")
        acknowledged: list[str] = []
        writing = asyncio.create_task(_write(pooler.conninfo(database="postgres", user=old.superuser), acknowledged))
        try:
            for to in ("n2", "n1"):
                await _more(acknowledged)
                record = await walker.switch(to=to)
                assert record.state is OperationState.SUCCEEDED, record.error
                await _more(acknowledged)
            assert not writing.done(), writing
        finally:
            writing.cancel()
            (ended,) = await asyncio.gather(writing, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended
        state, value = await rehearsed(walker.ground, to="n2")
        assert state is CheckState.OK
        assert f"operation {record.id}" in value
    assert set(acknowledged) <= set(await entries(old))


async def rehearsed(ground: SwitchoverGround, *, to: str) -> tuple[CheckState, str]:
    """What is told of routes that were turned before."""
    seen = await assess(ground, ground.fleet.cluster("shop"), to=to, purpose="dbre:test")
    (found,) = [one for one in seen.checks if one.rule == "routes_rehearsed"]
    return found.state, found.value


async def _write(conninfo: str, acknowledged: list[str]) -> None:
    """As fast as it is let; any error ends it."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        while True:
            number = str(len(acknowledged))
            await connection.execute("INSERT INTO ledger VALUES (%s)", [number])
            acknowledged.append(number)


async def _more(acknowledged: list[str]) -> None:
    goal = len(acknowledged) + 20
    async with asyncio.timeout(60):
        while len(acknowledged) < goal:  # noqa: ASYNC110 -- an outcome is polled for
            await asyncio.sleep(0.01)
