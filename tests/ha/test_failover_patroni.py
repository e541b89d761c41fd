"""A dead leader of Patroni is fenced and its lease let go: no 20 s until Patroni may promote."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from failover_kit import CLOCK, Shop, results
from ha_live import until
from patroni_kit import document_of, fleet_of

from dbre.capabilities.ha.failover.release import ReleaseLease
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.control import Control, ControlKind
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Fleet
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer
from dbre.lab.site import Site
from dbre.testing.patroni_fixtures import running_patroni

pytestmark = [pytest.mark.slow, pytest.mark.soak]


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
            new = next(one for one in cluster.nodes if f"db-{one.name}" == done["await-promotion"]["candidate"])
            assert new is not first
            await writes(new, 2)
            if is_frozen:
                await first.thaw()
            else:
                await first.start()

            async def rows() -> list[tuple[int]]:
                async with await first.connect() as admin:
                    return await (await admin.execute("SELECT number FROM paid ORDER BY number")).fetchall()

            await cluster.wait_healthy(besides=first.name)
            await until(rows, lambda found: found == [(1,), (2,)])


async def until_refused(shop: Shop, rule: str, **asked: Any) -> None:
    """Refused for this reason among others: on a busy machine a sweep may see nobody."""
    end = time.monotonic() + 120
    while True:
        with pytest.raises(FailoverRefused) as refused:
            await shop.plan(**asked)
        if rule in refused.value.context["rules"]:
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
