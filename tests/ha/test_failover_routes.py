"""A failover with a PgBouncer and an HAProxy in front: whoever waited for the frozen primary gets through to the new one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from failover_kit import CLOCK, Shop, fleet_with_control, results
from rejoin_kit import caught_up

from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.site import Site
from dbre.ports.route import Route
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.haproxy.route import HaproxyRoute
from dbre.tools.haproxy.runtime_api import RuntimeApi
from dbre.tools.pgbouncer.console import ConsoleAccess
from dbre.tools.pgbouncer.route import PgBouncerRoute

pytestmark = pytest.mark.slow


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


class Client:
    """Writes as fast as it is let, and comes back after every error; it has no limits of its own."""

    def __init__(self, name: str, conninfo: str) -> None:
        self.name, self._conninfo = name, conninfo
        self.acknowledged: list[str] = []
        self.errors: list[str] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Client"]:
        task = asyncio.create_task(self._write())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def more(self) -> None:
        goal = len(self.acknowledged) + 10
        async with asyncio.timeout(90):
            while len(self.acknowledged) < goal:  # noqa: ASYNC110 -- an outcome is polled for
                await asyncio.sleep(0.02)

    async def _write(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=None
                ) as connection:
                    while True:
                        entry = f"{self.name} {len(self.acknowledged)} {len(self.errors)}"
                        await connection.execute("INSERT INTO ledger VALUES (%s)", [entry])
                        self.acknowledged.append(entry)
                        await asyncio.sleep(0.01)  # the machine has others to serve
            except psycopg.Error as error:
                self.errors.append(str(error))
                await asyncio.sleep(0.05)


@asynccontextmanager
async def in_front(pair: PostgresPair, site: Site) -> AsyncIterator[tuple[Sequence[Route], Sequence[Client]]]:
    """The two ways to the primary, and a client on each."""
    old, new = pair.primary, pair.replica
    pooler = PgBouncerServer(
        "fr-pooler",
        site,
        program=installed(lambda: find_pgbouncer(account=site.account)),
        databases={"postgres": old.address},
        users={old.superuser: old.password},
    )
    program = installed(lambda: find_haproxy(account=site.account))
    proxy = HaproxyServer("fr-proxy", site, program=program, servers={"n1": old.address, "n2": new.address})
    async with running(pooler), running(proxy):
        access = ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
        routes: Sequence[Route] = (
            PgBouncerRoute("pool", access, ["postgres"], file=pooler.databases_file),
            HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND),
        )
        through = psycopg.conninfo.make_conninfo(old.conninfo(), port=proxy.address.port)
        async with (
            Client("pooled", pooler.conninfo(database="postgres", user=old.superuser)).at_work() as pooled,
            Client("proxied", through).at_work() as proxied,
        ):
            yield routes, (pooled, proxied)


async def test_clients_of_a_frozen_primary_get_through_again(postgres_pair: PostgresPair, store: Store, lab_site: Site) -> None:
    old, new = postgres_pair.primary, postgres_pair.replica
    for server in (old, new):
        async with await server.connect() as admin:
            await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
            await admin.execute("SELECT pg_reload_conf()")
    async with await old.connect() as admin:
        await admin.execute("CREATE TABLE ledger (entry text)")
    await caught_up(old, new)
    async with in_front(postgres_pair, lab_site) as (routes, clients):
        shop = Shop(fleet=fleet_with_control("postgresql", {"n1": old, "n2": new}), store=store, routes=routes)
        async with shop.observed():
            await shop.until_healthy()
            for one in clients:
                await one.more()
            await old.freeze()
            await shop.until_dead()
            waiting = [len(one.acknowledged) for one in clients]
            record = await shop.fail_over()
            assert record.state is OperationState.SUCCEEDED, record.error
            assert results(record)["turn-routes"]["to"] == str(new.address)
            assert set(results(record)["turn-routes"]["ended"]) == {"pool", "proxy"}
            for one, count in zip(clients, waiting, strict=True):
                await one.more()
                assert one.errors  # it was told, and not left to wait for ever
                assert len(one.acknowledged) > count
    assert record.outcome is not None
    subjects = [str(one["subject"]) for one in record.outcome["verifications"]]
    assert "n2: write and read back" in subjects
    assert {"route pool", "route proxy"} <= {one.partition(":")[0] for one in subjects}
    async with await new.connect() as admin:
        kept = {row[0] for row in await (await admin.execute("SELECT entry FROM ledger")).fetchall()}
    for one in clients:
        assert set(one.acknowledged[-10:]) <= kept  # what was acknowledged at last is on the new primary
