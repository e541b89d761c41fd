"""Planned changes of primary through a real Patroni, whatever becomes of its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from patroni_kit import document_of, fleet_of, word_of
from switchover_kit import Walker, ground_of, run_and_die, steps_of

from dbre.capabilities.ha.patroni.hand_over import PatroniHandOver
from dbre.capabilities.ha.patroni.hand_over_checks import hand_over_checks
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied, PrecheckFailed, Refused
from dbre.core.fleet import Instance
from dbre.core.store import open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer

pytestmark = pytest.mark.timeout(300)  # the first one makes the cluster, which takes long on a busy machine


def instance_of(cluster: PatroniCluster, node: PatroniServer) -> Instance:
    return fleet_of(cluster).instance(f"db-{node.name}")


def hand_over_of(cluster: PatroniCluster, **given: object) -> PatroniHandOver:
    return PatroniHandOver(document_of(cluster, **given), fleet_of(cluster), SystemClock())


def managed(cluster: PatroniCluster) -> SwitchoverGround:
    # Whoever else uses this machine may keep a node from stopping for a while.
    ground = ground_of(fleet_of(cluster), limits={"promote": "90s", "follow": "90s", "max_lag_time": "90s"})
    return replace(ground, hand_over_of=lambda _: hand_over_of(cluster))


async def pair_of(cluster: PatroniCluster) -> tuple[PatroniServer, PatroniServer]:
    old = await cluster.wait_healthy()
    return old, next(one for one in cluster.nodes if one is not old)


@asynccontextmanager
async def deaf_proxy(url: str) -> AsyncIterator[str]:
    """Carries questions to a server, and drops the answer to a switchover with its connection."""
    there = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection(there.hostname, there.port)
        is_switchover = False

        async def up() -> None:
            nonlocal is_switchover
            while piece := await reader.read(65_536):
                is_switchover = is_switchover or piece.startswith(b"POST /switchover")
                sink.write(piece)
                await sink.drain()
            sink.close()

        async def down() -> None:
            while piece := await upstream.read(65_536):
                if is_switchover:
                    break
                writer.write(piece)
                await writer.drain()
            writer.close()

        await asyncio.gather(up(), down(), return_exceptions=True)
        sink.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_the_operation_makes_another_node_the_primary_and_sees_that_it_is(
    patroni_cluster: PatroniCluster, tmp_path: Path
) -> None:
    old, new = await pair_of(patroni_cluster)
    ground = managed(patroni_cluster)
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=SystemClock(), migrate=True) as store:
        record = await Walker(store=store, ground=ground).switch(to=f"db-{new.name}")
    assert (record.state.value, steps_of(record)) == ("succeeded", ["hand-over"]), record
    assert await patroni_cluster.wait_healthy(besides=old.name) is new


async def test_an_answer_that_is_lost_is_not_taken_for_a_failure(patroni_cluster: PatroniCluster) -> None:
    old, new = await pair_of(patroni_cluster)
    cluster = fleet_of(patroni_cluster).cluster("shop")
    async with deaf_proxy(patroni_cluster.urls[0]) as url:
        hand_over = hand_over_of(patroni_cluster, urls=[url, *patroni_cluster.urls[1:]])
        before, after = instance_of(patroni_cluster, old), instance_of(patroni_cluster, new)
        await hand_over.run(cluster, before, after, limit_seconds=90)
        assert await hand_over.has_happened(cluster, before, after) is True
        await hand_over.run(cluster, before, after, limit_seconds=1)  # once more, as after a crash: it is done
    assert await patroni_cluster.wait_healthy(besides=old.name) is new


async def test_what_patroni_refuses_did_not_happen(patroni_cluster: PatroniCluster) -> None:
    old, new = await pair_of(patroni_cluster)
    cluster = fleet_of(patroni_cluster).cluster("shop")
    before, after = instance_of(patroni_cluster, old), instance_of(patroni_cluster, new)
    hand_over = hand_over_of(patroni_cluster)
    third = instance_of(patroni_cluster, next(one for one in patroni_cluster.nodes if one not in (old, new)))
    with pytest.raises(Refused, match="the lease of shop is"):
        await hand_over.run(cluster, third, after, limit_seconds=60)
    await patroni_cluster.configure({"pause": True})
    try:
        word = await word_of(patroni_cluster)
        failed = {one.rule for one in hand_over_checks(word, before, after) if one.state is CheckState.FAIL}
        assert failed == {"not_paused"}
        with pytest.raises(PrecheckFailed, match="not paused"):
            await Walker(store=None, ground=managed(patroni_cluster)).submit(to=after.name)  # type: ignore[arg-type]
    finally:
        await patroni_cluster.configure({"pause": None})
    stranger = hand_over_of(patroni_cluster, user=None, password=None)
    with pytest.raises(Denied, match="does not let dbre change things"):
        await stranger.run(cluster, before, after, limit_seconds=60)
    assert await hand_over.has_happened(cluster, before, after) is False


@pytest.mark.soak
@pytest.mark.parametrize("number", [2, 3, 4, 5])
async def test_a_runner_that_is_killed_is_carried_on(patroni_cluster: PatroniCluster, tmp_path: Path, number: int) -> None:
    old, new = await pair_of(patroni_cluster)
    ground, url = managed(patroni_cluster), f"sqlite:///{tmp_path / 'state.db'}"
    async with open_store(url, clock=SystemClock(), migrate=True) as store:
        operation = await Walker(store=store, ground=ground).submit(to=f"db-{new.name}")
    await asyncio.to_thread(run_and_die, url, ground, operation, number)
    async with open_store(url, clock=SystemClock()) as store:
        record = await Walker(store=store, ground=ground).run(operation)
    assert record.state.value == "succeeded", record
    assert await patroni_cluster.wait_healthy(besides=old.name) is new
