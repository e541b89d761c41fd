"""``dbre ha status`` over a real cluster of Patroni: the databases' word held against Patroni's and etcd's."""

import signal
from typing import Any

import pytest
from ha_live import rules, until
from patroni_kit import context, word_of, word_until

from dbre.capabilities.ha.cli import status
from dbre.core.errors import ExitCode
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.server import PatroniServer
from dbre.tools.json_servers import ServersAccess
from dbre.tools.patroni import NodeState, PatroniClient

pytestmark = pytest.mark.timeout(300)  # the first one makes the cluster, which takes long on a busy machine


async def view_of(cluster: PatroniCluster, **given: Any) -> Any:
    return await status(context(cluster, **given), "shop")


async def state_of(node: PatroniServer) -> NodeState:
    async with PatroniClient(ServersAccess(urls=(node.rest_url,), timeout_seconds=30)) as patroni:
        (found,) = await patroni.nodes()
    assert isinstance(found, NodeState), found
    return found


async def test_all_say_the_same_of_a_healthy_cluster(patroni_cluster: PatroniCluster) -> None:
    leader = await patroni_cluster.wait_healthy()
    view = await until(lambda: view_of(patroni_cluster), lambda one: one.exit_code == ExitCode.OK)
    found = view.items[0]
    assert found["primary"] == found["consensus"]["leader_instance"] == f"db-{leader.name}"
    assert found["consensus"]["has_quorum"] is True
    assert found["consensus"]["store"]["lease_seconds"] == 20
    assert sorted(found["consensus"]["store"]["synchronous"]) == sorted(
        one.name for one in patroni_cluster.nodes if one is not leader
    )
    assert {one["instance"] for one in found["consensus"]["members"]} == {"db-n1", "db-n2", "db-n3"}
    assert "Patroni shop: the lease is db-" in view.text
    assert "etcd: 3 of 3 members well" in view.text


async def test_a_pause_is_told(patroni_cluster: PatroniCluster) -> None:
    await patroni_cluster.configure({"pause": True})
    try:
        view = await until(lambda: view_of(patroni_cluster), lambda one: one.items[0]["consensus"]["is_paused"])
        assert ("ha.paused_cluster", "shop") in rules(view)
        assert "paused_cluster" in view.items[0]["verdicts"]
        assert view.exit_code == ExitCode.FINDINGS
    finally:
        await patroni_cluster.configure({"pause": None})


async def test_a_scope_that_is_not_the_nodes_own_is_told(patroni_cluster: PatroniCluster) -> None:
    view = await view_of(patroni_cluster, scope="store")
    assert {rule for rule, _ in rules(view)} >= {"ha.wrong_scope"}
    assert all(one["scope"] == "shop" for one in view.items[0]["consensus"]["nodes"])


async def test_a_member_of_etcd_and_a_node_that_are_silent_are_told(patroni_cluster: PatroniCluster) -> None:
    given: dict[str, Any] = {
        "urls": [*patroni_cluster.urls, "http://127.0.0.1:1"],
        "etcd": {"urls": [one.url for one in patroni_cluster.etcd], "timeout": "2s"},
    }
    wanted = {("ha.dcs_member_down", "shop"), ("ha.patroni_node_silent", "shop")}
    await patroni_cluster.etcd[2].freeze()  # where it led, the others elect another leader first
    try:
        view = await until(lambda: view_of(patroni_cluster, **given), lambda one: rules(one) >= wanted)
        assert view.items[0]["consensus"]["has_quorum"] is True
    finally:
        await patroni_cluster.etcd[2].thaw()
    await patroni_cluster.wait_healthy()


@pytest.mark.soak
async def test_a_lost_quorum_is_told_and_closes_the_primary(patroni_cluster: PatroniCluster) -> None:
    given: dict[str, Any] = {"etcd": {"urls": [one.url for one in patroni_cluster.etcd], "timeout": "2s"}, "timeout": "2s"}
    for one in patroni_cluster.etcd[1:]:
        await one.freeze()
    try:
        word = await word_until(patroni_cluster, lambda one: one.has_quorum is False, **given)
        assert word.store is not None
        assert word.store.error is not None
        view = await until(lambda: view_of(patroni_cluster, **given), lambda one: one.items[0]["primary"] is None)
        assert rules(view) >= {("ha.dcs_quorum_lost", "shop"), ("ha.no_primary", "shop")}
        assert view.items[0]["consensus"]["leader"] is None  # what Patroni remembers is not what is
        assert "dcs_quorum_lost" in view.items[0]["verdicts"]
    finally:
        for one in patroni_cluster.etcd[1:]:
            await one.thaw()
    await patroni_cluster.wait_healthy()


@pytest.mark.soak
async def test_a_primary_that_was_promoted_behind_patronis_back_is_told(patroni_cluster: PatroniCluster) -> None:
    leader = await patroni_cluster.wait_healthy()
    other = next(one for one in patroni_cluster.nodes if one is not leader)
    timeline = (await state_of(leader)).timeline
    other.signal_patroni(signal.SIGSTOP)  # else it would close it again at once
    wanted = {("ha.dual_primary", "shop"), ("ha.primary_without_lease", f"db-{other.name}")}
    try:
        async with await other.connect() as connection:
            await connection.execute("SELECT pg_promote()")
        view = await until(lambda: view_of(patroni_cluster, timeout="2s"), lambda one: rules(one) >= wanted)
        assert view.items[0]["action"] == "fence"
    finally:
        other.signal_patroni(signal.SIGCONT)
    await until(lambda: state_of(other), lambda one: (one.role, one.timeline) == ("replica", timeline))  # rewound, or made anew
    await patroni_cluster.wait_healthy()


async def test_a_store_that_is_led_from_the_primarys_host_is_told(patroni_cluster: PatroniCluster) -> None:
    """Two names of this machine stand for two hosts."""

    async def told(*, is_beside: bool) -> bool:
        word = await word_of(patroni_cluster)
        assert word.store is not None
        leading = [one.url for one in word.store.members if one.is_leader]
        there = [one.url for one in word.store.members if (one.url in leading) is is_beside]
        urls = [
            one if one in there else one.replace("127.0.0.1", "localhost")
            for one in (member.url for member in word.store.members)
        ]
        view = await view_of(patroni_cluster, etcd={"urls": urls, "timeout": "10s"})
        return ("ha.dcs_leader_beside_primary", "shop") in rules(view)

    await patroni_cluster.wait_healthy()
    await until(lambda: told(is_beside=True), lambda found: found)
    await until(lambda: told(is_beside=False), lambda found: not found)
