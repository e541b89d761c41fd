"""Sweeps for many viewers: one at a time, shared, and cut to what each may see."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ha_kit import fleet, follows, instance, primary, replica, topology

from dbre.capabilities.ha.findings import findings_of
from dbre.capabilities.ha.looking import Status
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.shared import Shared
from dbre.capabilities.ha.sweeps import Sweep, Sweeps
from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.forecast import NextSwitchover
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.selector import Selector
from dbre.web.topology import glances, seen_forecast, seen_sweep, tree_of

CLOCK = SystemClock()
SHOP = fleet(3).clusters[0]
CASCADE = topology(
    primary(1, feeds=[2]), replica(2, follows(1), feeds=[3]), replica(3, follows(2), position=None, is_replay_paused=True)
)


def seen(found: Topology) -> Sweep:
    status = Status(topology=found, lags=[], findings=findings_of(found, slot_limit_bytes=1), judgement=None)
    return Sweep(status=status, at=CLOCK.now())


def check(subject: str, value: str) -> PreCheck:
    return PreCheck(
        rule="all_answer",
        subject=subject,
        state=CheckState.FAIL,
        value=value,
        limit="none",
        source="topology",
        remedy=f"see {subject}",
    )


async def test_viewers_share_one_sweep_and_one_who_leaves_ends_it_for_nobody() -> None:
    begun, go = [], asyncio.Event()

    async def look(cluster: Cluster) -> Sweep:
        begun.append(cluster.name)
        await go.wait()
        return seen(CASCADE)

    sweeps = Sweeps(look, CLOCK)
    first, second = asyncio.create_task(sweeps.of(SHOP)), asyncio.create_task(sweeps.of(SHOP))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    found = await second
    assert begun == ["shop"]
    assert await sweeps.of(SHOP) is found, "it is still fresh"
    assert sweeps.last(SHOP) is found


async def test_a_sweep_that_fails_is_tried_again_by_the_next_viewer() -> None:
    answers: list[Any] = [Unreachable("no secret"), seen(CASCADE)]

    async def look(_: Cluster) -> Sweep:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast(Sweep, answer)

    sweeps = Sweeps(look, CLOCK)
    with pytest.raises(Unreachable):
        await sweeps.of(SHOP)
    assert (await sweeps.of(SHOP)).at - CLOCK.now() < timedelta(seconds=1)


def test_a_tree_shows_each_node_once_below_whom_it_follows() -> None:
    assert [(row.depth, row.node.name) for row in tree_of(seen(CASCADE))] == [(0, "n1"), (1, "n2"), (2, "n3")]
    circle = topology(replica(1, follows(2), feeds=[2]), replica(2, follows(1), feeds=[1]))
    assert sorted(row.node.name for row in tree_of(seen(circle))) == ["n1", "n2"]


async def test_nodes_of_clusters_that_are_kept_from_a_viewer_are_not_told_of() -> None:
    other = Instance(name="n3", cluster="secret", address=instance(3).address)
    nodes = [
        *CASCADE.nodes[:2],
        type(CASCADE.nodes[2])(instance=other, contact=CASCADE.nodes[2].contact, view=CASCADE.nodes[2].view),
    ]
    found = seen(topology(*nodes))
    assert any("n3" in one.summary for one in found.status.findings)

    async def look(_: Cluster) -> Sweep:
        return found

    shop = Fleet(clusters=(SHOP,)).clusters[0]
    in_the_way = [check("n3", "n3 is silent"), check("n1", "a transaction is open")]

    async def forecast(_: Cluster) -> NextSwitchover:
        return NextSwitchover(cluster="shop", at=CLOCK.now(), primary="n1", candidate="n2", in_the_way=tuple(in_the_way))

    wired: Any = SimpleNamespace(fleet=Fleet(clusters=(shop,)), sweeps=Sweeps(look, CLOCK), switchovers=Shared(forecast, CLOCK))
    viewer = Principal(name="vic", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.VIEWER, selector=Selector.of({})),))
    told = await seen_sweep(wired, viewer, "shop")
    assert [one.name for one in told.status.topology.nodes] == ["n1", "n2"]
    assert not any("n3" in one.summary for one in told.status.findings)
    assert [one.cluster.name for one in await glances(wired, viewer)] == ["shop"]
    following = await seen_forecast(wired, viewer, "shop")
    assert following is not None
    assert (following.may_be, [one.rule for one in following.in_the_way]) == (False, ["all_answer", "all_answer"])
    assert "n3" not in str(following.document())
    assert "a transaction is open" in str(following.document())
