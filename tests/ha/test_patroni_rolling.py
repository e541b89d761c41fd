"""Rolling restarts, settings and minor versions of a cluster whose servers a real Patroni starts and stops."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from patroni_kit import patroni_walker

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.ports.settings import SettingRefused
from upgrade_kit import results_of, steps_of

pytestmark = pytest.mark.timeout(600)  # the first one makes the cluster, which takes long on a busy machine


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def asked(cluster: PatroniCluster, query: str) -> dict[str, str]:
    found = {}
    for one in cluster.nodes:
        async with await one.connect() as connection:
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        found[f"db-{one.name}"] = str(row[0])
    return found


async def kept(cluster: PatroniCluster, name: str) -> Any:
    return (await cluster.nodes[0].rest("GET", "/config"))["postgresql"]["parameters"].get(name)


async def test_a_setting_reaches_replicas_first_and_patroni_keeps_it(patroni_cluster: PatroniCluster, store: Store) -> None:
    old = await patroni_cluster.wait_healthy()
    before, wanted = await asked(patroni_cluster, "SHOW max_connections"), "131"

    record = await patroni_walker(patroni_cluster, store).do("upgrade.parameters", set={"max_connections": wanted})

    assert record.state is OperationState.SUCCEEDED, record.error
    assert set((await asked(patroni_cluster, "SHOW max_connections")).values()) == {wanted}
    replicas = [name for name in before if name != f"db-{old.name}"]
    assert steps_of(record) == ["keep", *(f"change:{name}" for name in replicas), "switch", f"change:db-{old.name}"]
    assert [results_of(record)[f"change:{name}"]["restarted"] for name in replicas] == [True, True]
    assert str(await kept(patroni_cluster, "max_connections")) == wanted
    assert await patroni_cluster.wait_healthy(besides=old.name)
    members = (await patroni_cluster.nodes[0].rest("GET", "/cluster"))["members"]
    assert not any(one.get("pending_restart") for one in members)


@pytest.mark.soak
async def test_every_server_is_restarted_once_and_the_primary_leads_again(
    patroni_cluster: PatroniCluster, store: Store
) -> None:
    old = await patroni_cluster.wait_healthy()
    before = await asked(patroni_cluster, "SELECT pg_postmaster_start_time()")

    record = await patroni_walker(patroni_cluster, store).do("upgrade.restart", back=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    after = await asked(patroni_cluster, "SELECT pg_postmaster_start_time()")
    assert all(before[name] != after[name] for name in before)
    assert await patroni_cluster.wait_healthy() is old
    assert results_of(record)[f"restart:db-{old.name}"]["how"] == "already restarted"  # by the change of primary


@pytest.mark.soak
async def test_lowering_begins_with_the_primary(patroni_cluster: PatroniCluster, store: Store) -> None:
    old, walker = await patroni_cluster.wait_healthy(), patroni_walker(patroni_cluster, store)
    raised = await walker.do("upgrade.parameters", set={"max_worker_processes": "12"}, in_place=True)
    assert raised.state is OperationState.SUCCEEDED, raised.error
    assert steps_of(raised)[-1] == f"change:db-{old.name}"
    with pytest.raises(PrecheckFailed, match="the primary"):
        await walker.submit("upgrade.parameters", set={"max_worker_processes": "9"})

    record = await walker.do("upgrade.parameters", set={"max_worker_processes": "9"}, in_place=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record)[:2] == ["keep", f"change:db-{old.name}"]
    assert set((await asked(patroni_cluster, "SHOW max_worker_processes")).values()) == {"9"}
    assert await patroni_cluster.wait_healthy() is old


@pytest.mark.soak
async def test_a_server_that_does_not_start_with_it_gets_back_what_it_had(
    patroni_cluster: PatroniCluster, store: Store
) -> None:
    old, before = await patroni_cluster.wait_healthy(), await kept(patroni_cluster, "shared_buffers")
    own = await asked(patroni_cluster, "SHOW huge_pages")

    record = await patroni_walker(patroni_cluster, store).do("upgrade.parameters", set={"huge_pages": "on"})

    assert record.state in (OperationState.COMPENSATED, OperationState.FAILED), record.error
    assert record.error is not None
    assert "is not whole with huge_pages" in record.error["message"]
    assert await kept(patroni_cluster, "huge_pages") is None
    assert await kept(patroni_cluster, "shared_buffers") == before
    assert await asked(patroni_cluster, "SHOW huge_pages") == own
    assert await patroni_cluster.wait_healthy() is old


@pytest.mark.soak
async def test_a_value_that_a_node_hides_is_taken_back(patroni_cluster: PatroniCluster, store: Store) -> None:
    """The lab's nodes have shared_buffers in files of their own."""
    old = await patroni_cluster.wait_healthy()

    record = await patroni_walker(patroni_cluster, store).do("upgrade.parameters", set={"shared_buffers": "20MB"})

    assert record.state in (OperationState.COMPENSATED, OperationState.FAILED), record.error
    assert record.error is not None
    assert "neither has it nor waits for a restart" in record.error["message"]
    assert await kept(patroni_cluster, "shared_buffers") is None
    assert await patroni_cluster.wait_healthy() is old


@pytest.mark.soak
async def test_the_installed_version_is_told_by_a_command(patroni_cluster: PatroniCluster, store: Store) -> None:
    await patroni_cluster.wait_healthy()
    program = patroni_cluster.nodes[0].binaries.program("postgres")
    names = [f"db-{one.name}" for one in patroni_cluster.nodes]
    told = [{"instance": name, "version": [str(program), "--version"]} for name in names]
    record = await patroni_walker(patroni_cluster, store, commands=told).do("upgrade.minor")
    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == []
    with pytest.raises(PrecheckFailed, match="unknown is installed"):
        await patroni_walker(patroni_cluster, store).submit("upgrade.minor")
    other = [{"instance": name, "version": [sys.executable, "--version"]} for name in names]
    with pytest.raises(PrecheckFailed, match="minor step"):
        await patroni_walker(patroni_cluster, store, commands=other).submit("upgrade.minor")


@pytest.mark.soak
async def test_what_is_in_the_way_is_said_before_anything_is_done(patroni_cluster: PatroniCluster, store: Store) -> None:
    old, walker = await patroni_cluster.wait_healthy(), patroni_walker(patroni_cluster, store)
    await patroni_cluster.configure({"pause": True})
    try:
        with pytest.raises(PrecheckFailed, match="not paused"):
            await walker.submit("upgrade.restart")
    finally:
        await patroni_cluster.configure({"pause": None})
    async with await old.connect() as connection:
        await connection.execute("ALTER SYSTEM SET shared_buffers = '18MB'")
    try:
        with pytest.raises(SettingRefused, match="hides what is kept elsewhere"):
            await walker.submit("upgrade.parameters", set={"shared_buffers": "20MB"})
    finally:
        async with await old.connect() as connection:
            await connection.execute("ALTER SYSTEM RESET shared_buffers")
