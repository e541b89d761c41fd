"""A dead leader of Patroni is fenced and its lease let go: no 20 s until Patroni may promote."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from failover_kit import CLOCK, Shop, results
from ha_live import until
from patroni_kit import document_of, fleet_of

from dbre.capabilities.ha.failover.fences import ladder_of
from dbre.capabilities.ha.failover.release import PatroniLives, ReleaseLease
from dbre.capabilities.ha.failover.situation import instance_of
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.capabilities.ha.fencing.ladder import climb
from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.capabilities.ha.patroni.access import etcd_of, key_of
from dbre.core.control import Control, ControlKind
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Fleet
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.programs.processes import Process, send, serving
from dbre.core.store import Store, open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer
from dbre.lab.site import Site
from dbre.testing.patroni_fixtures import running_patroni
from dbre.tools.etcd import EtcdClient
from dbre.tools.json_servers import ServersAccess
from dbre.tools.patroni import living

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


def controlled(cluster: PatroniCluster) -> Fleet:
    """Processes are found by the data directory; nobody but Patroni starts them."""
    nothing = ("/bin/false",)
    servers = {f"db-{one.name}": one for one in cluster.nodes}
    (shop,) = fleet_of(cluster).clusters
    instances = tuple(
        replace(
            one,
            control=Control(
                kind=ControlKind.COMMANDS, data_directory=servers[one.name].data_directory, start=nothing, stop=nothing
            ),
        )
        for one in shop.instances
    )
    superuser = cluster.nodes[0]
    return Fleet(
        clusters=(replace(shop, instances=instances, user=superuser.superuser, password=superuser.password, databases=()),)
    )


async def writes(server: PatroniServer, number: int) -> None:
    async with await server.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS paid (number int)")
        await admin.execute("INSERT INTO paid VALUES (%s)", [number])


@pytest.mark.parametrize("is_frozen", [False, True], ids=["killed", "frozen"])
async def test_a_dead_leader_is_replaced_long_before_its_lease_ends(lab_site: Site, store: Store, is_frozen: bool) -> None:
    async with running_patroni(lab_site) as cluster:
        first = await cluster.wait_healthy()
        shop = Shop(
            fleet=controlled(cluster), store=store, patroni=document_of(cluster, scope=first.options.scope), kind=ReleaseLease
        )
        for one in cluster.nodes:
            async with await one.connect() as admin:
                await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
                await admin.execute("SELECT pg_reload_conf()")
        async with shop.observed():
            await writes(first, 1)
            await shop.until_healthy()
            await until_refused(shop, "patroni_silent", automatic=True)
            with pytest.raises(UsageError, match="Patroni chooses"):
                await shop.plan(to="db-n2")
            await (first.freeze() if is_frozen else first.kill())
            await shop.until_dead()
            record = await until_allowed(shop, automatic=True)
            assert record.state is OperationState.SUCCEEDED, record.error
            done = results(record)
            assert done["release"]["is_released"]  # nobody waited for the lease to end, 20 s at least
            assert done["fence"]["seen"] == "no process is left"
            assert ("frozen Patroni" in done["fence"]["done"]) is is_frozen
            new = next(one for one in cluster.nodes if f"db-{one.name}" == done["await-promotion"]["candidate"])
            assert new is not first
            await writes(new, 2)
            await first.start()  # its Patroni, too, was ended by the fence: it might have woken with its lease

            async def rows() -> list[tuple[int]]:
                async with await first.connect() as admin:
                    return await (await admin.execute("SELECT number FROM paid ORDER BY number")).fetchall()

            await cluster.wait_healthy(besides=first.name)
            await until(rows, lambda found: found == [(1,), (2,)])


async def test_a_patroni_that_hangs_with_its_server_keeps_its_lease(lab_site: Site, store: Store) -> None:
    """Silent, and alive: once its server is gone it would start it as the primary, for it holds the lease."""
    async with running_patroni(lab_site) as cluster, AsyncExitStack() as waiting:
        first = await cluster.wait_healthy()
        await cluster.configure({"ttl": 300})  # longer than this test: nobody else may take over meanwhile
        shop = Shop(
            fleet=controlled(cluster), store=store, patroni=document_of(cluster, scope=first.options.scope), kind=ReleaseLease
        )
        shop.failover |= {"observers": [], "auto": False}
        primary = f"db-{first.name}"
        await writes(first, 1)
        frozen = serving(first.data_directory, lambda _, name: name == "postgres")
        for one in frozen:
            send(one, signal.SIGSTOP)
        try:
            for _ in range(12):  # more than its API has threads
                await waiting.enter_async_context(asked_in_vain(first))
            await until(lambda: lives(first), lambda found: not found)
            await until_refused(shop, "patroni_silent", primary=primary, accept_loss=True)
            ladder = await ladder_of(shop.ground, shop.cluster, instance_of(shop.cluster, primary), fence_id="test")
            with pytest.raises(FenceFailed, match="would start the server again"):
                await climb(ladder.rungs, subject=primary, clock=CLOCK, note=quiet)
            assert all((now := Process.read(one.pid)) is not None and now.is_stopped for one in frozen)
            async with etcd_of_shop(shop) as etcd:
                key = key_of(document_of(cluster, scope=first.options.scope), shop.cluster, "leader")
                assert [one.value.decode() for one in (await etcd.read(key)).items] == [first.name]
        finally:
            for one in frozen:
                send(one, signal.SIGCONT)
        await cluster.wait_healthy()


@pytest.mark.parametrize("is_whole", [False, True], ids=["server-alone", "whole-machine"])
async def test_a_patroni_that_hangs_gives_way_to_a_command_that_takes_its_machine_away(
    lab_site: Site, store: Store, is_whole: bool
) -> None:
    async with running_patroni(lab_site) as cluster, AsyncExitStack() as waiting:
        first = await cluster.wait_healthy()
        await cluster.configure({"ttl": 300})  # longer than this test: nobody else may take over meanwhile
        for one in cluster.nodes:
            async with await one.connect() as admin:
                await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
                await admin.execute("SELECT pg_reload_conf()")
        shop = Shop(
            fleet=controlled(cluster), store=store, patroni=document_of(cluster, scope=first.options.scope), kind=ReleaseLease
        )
        shop.failover |= {
            "observers": [],
            "auto": False,
            "fence": [power(first.directory if is_whole else first.data_directory)],
        }
        await writes(first, 1)
        for one in serving(first.data_directory, lambda _, name: name == "postgres"):
            send(one, signal.SIGSTOP)
        for _ in range(12):  # more than its API has threads
            await waiting.enter_async_context(asked_in_vain(first))
        await until(lambda: lives(first), lambda found: not found)
        record = await until_allowed(shop, primary=f"db-{first.name}", accept_loss=True)
        if is_whole:
            assert record.state is OperationState.SUCCEEDED, record.error
            assert results(record)["await-promotion"]["candidate"] != f"db-{first.name}"
        else:  # its Patroni is left: it starts the server again, or gives the lease up by itself
            assert (record.error or {}).get("code") in (PatroniLives.code, FenceFailed.code)
            assert not results(record)["release"]  # nothing was deleted


def power(directory: Path) -> dict[str, Any]:
    """Kills whatever works in the directory, or below."""
    find = """found() { find /proc -maxdepth 2 -name cwd \\( -lname "$1" -o -lname "$1/*" \\) 2>/dev/null | cut -d/ -f3; }; """
    off = find + 'while pids=$(found "$1") && [ -n "$pids" ]; do kill -KILL $pids 2>/dev/null; done; exit 0'
    is_off = find + '[ -z "$(found "$1")" ]'
    fence, confirm = (["/bin/sh", "-c", text, "power", str(directory)] for text in (off, is_off))
    return {"kind": "command", "fence": fence, "confirm": confirm, "limit": "5s"}


async def lives(server: PatroniServer) -> bool:
    access = ServersAccess(urls=(server.rest_url,))
    return bool(await living(access, access.urls, timeout_seconds=2.0))


@asynccontextmanager
async def asked_in_vain(server: PatroniServer) -> AsyncIterator[None]:
    """A request that waits for the server that hangs."""
    _, writer = await asyncio.open_connection(*urlsplit(server.rest_url).netloc.split(":"))
    try:
        writer.write(b"GET /patroni HTTP/1.0\r\n\r\n")
        await writer.drain()
        yield
    finally:
        writer.close()


def etcd_of_shop(shop: Shop) -> EtcdClient:
    assert shop.patroni is not None
    found = etcd_of(shop.patroni)
    assert found is not None
    return found


async def quiet(_: str) -> None: ...


async def until_refused(shop: Shop, rule: str, **asked: Any) -> None:
    """Refused for this reason among others: on a busy machine a sweep may see nobody."""
    end = time.monotonic() + 120
    while True:
        with pytest.raises(FailoverRefused) as refused:
            await shop.plan(**asked)
        if rule in str(refused.value.context["rules"]):
            return
        assert time.monotonic() < end, refused.value


async def until_allowed(shop: Shop, **asked: Any) -> OperationRecord:
    """As whoever watches would ask: again while somebody answers too late to be counted."""
    end = time.monotonic() + 120
    while True:
        try:
            record = await shop.fail_over(**asked)
        except PrecheckFailed:
            assert time.monotonic() < end
            continue
        if (record.error or {}).get("code") not in (FailoverRefused.code, PlanChanged.code) or time.monotonic() > end:
            return record
