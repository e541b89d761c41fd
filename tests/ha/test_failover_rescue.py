"""A leader whose server recovers for ever, and whose Patroni waits for it: Patroni is asked, and another one leads at once."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import pytest
from failover_kit import CLOCK, Shop, results
from kill_kit import die_in
from patroni_kit import document_of, word_until
from test_failover_not import held_in_recovery
from test_failover_patroni import controlled, until_refused, writes

from dbre.capabilities.ha.failover.rescue import Rescue
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.errors import UsageError
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.site import Site
from dbre.testing.patroni_fixtures import running_patroni

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


_ASK = 1  # its place in the plan, after ``confirm``


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


class DiesAnswered:
    """Ends the process when the candidate leads, and nothing of it is written."""

    async def before(self, commit: str) -> None:
        if commit.startswith(f"do {_ASK} "):
            os.kill(os.getpid(), signal.SIGKILL)

    async def after(self, commit: str) -> None: ...


@pytest.mark.parametrize("is_killed", [False, True], ids=["whole", "killed"])
async def test_patroni_hands_over_what_it_waits_for(lab_site: Site, store: Store, url: str, is_killed: bool) -> None:
    async with running_patroni(lab_site) as cluster:
        first = await cluster.wait_healthy()
        await cluster.configure({"primary_start_timeout": 300, "ttl": 300})  # by itself it would wait longer than this test
        shop = Shop(
            fleet=controlled(cluster), store=store, patroni=document_of(cluster, scope=first.options.scope), kind=Rescue
        )
        shop.failover |= {"observers": [], "auto": False}
        await writes(first, 1)
        with pytest.raises(FailoverRefused, match="primary_serves_nobody"):
            await shop.plan(accept_loss=True)
        with pytest.raises(UsageError, match="by people alone"):
            await shop.plan(automatic=True)
        startup = await held_in_recovery(first)
        try:
            await until_refused(shop, "loss")  # nobody observed how far it was, and no person takes it
            going_on = asyncio.create_task(let_go(cluster, startup))  # it is slow, and heeds a stop: frozen it would not
            operation = await shop.submit(accept_loss=True)
            if is_killed:

                def run(mine: Store) -> Awaitable[object]:
                    return replace(shop, store=mine).run(operation, hooks=DiesAnswered())

                assert await asyncio.to_thread(die_in, url, run)
            record = await shop.run(operation)
            await going_on
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(startup, signal.SIGCONT)
        assert record.state is OperationState.SUCCEEDED, record.error
        assert (results(record)["ask"]["seconds"] is None) is is_killed  # found out, and not asked for again
        new = next(one for one in cluster.nodes if f"db-{one.name}" == results(record)["ask"]["candidate"])
        assert new is not first
        await writes(new, 2)
        await cluster.wait_healthy(besides=first.name)


async def let_go(cluster: PatroniCluster, startup: int) -> None:
    """Let a recovery go on once Patroni was asked for a failover."""
    await word_until(cluster, lambda word: word.store is not None and word.store.has_request)
    await asyncio.sleep(1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(startup, signal.SIGCONT)
