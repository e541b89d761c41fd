"""Clients in two places of a network that falls apart: one goes on at the old primary, the other at the new one."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from ha_live import fleet_of
from truth_kit import clients_of, promote, until_acknowledged

from dbre.capabilities.ha.clients.spec import Vantage
from dbre.core.errors import Unsupported, UsageError
from dbre.core.packets.commands import command
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site
from dbre.testing.fixtures import PostgresPair, leave_out, running

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(loop_scope="session")
async def places() -> AsyncIterator[tuple[Network, PostgresPair]]:
    """A pair whose servers have addresses of their own, and two places for clients."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with temporary_site(prefix="dbre-test-net-") as site:
        try:
            network = Network.create(site.directory)
            binaries = await find_postgres(account=site.account, cache=site.cache, version=15)
        except Unsupported as error:
            leave_out(error)
        for name in ("near", "far"):
            network.host(name)
        async with (
            running(PostgresServer("pg1", site.at(network.host("pg1")), binaries=binaries)) as primary,
            running(PostgresServer("pg2", site.at(network.host("pg2")), binaries=binaries, replica_of=primary)) as replica,
        ):
            yield network, PostgresPair(primary=primary, replica=replica)


async def test_a_split_is_an_overlap_and_what_the_old_side_took_is_lost(
    places: tuple[Network, PostgresPair], tmp_path: Path
) -> None:
    network, pair = places
    await pair.replica.wait_streaming()
    fleet = fleet_of("postgresql", {"pg1": pair.primary, "pg2": pair.replica}, database="postgres")
    vantages = tuple(Vantage(name=name, namespace=network.hosts[name].namespace) for name in ("near", "far"))
    async with clients_of(fleet, tmp_path / "split.jsonl", vantages=vantages, rate=80.0, deadline_seconds=1.0) as clients:
        await until_acknowledged(clients, 60)
        for name in ("pg2", "far"):  # neither reaches the old primary any more
            cut = ("ip", "route", "add", "unreachable", pair.primary.address.host)
            command(*cut, namespace=network.namespace(name))
        await promote(pair.replica)
        near, far = clients._workers
        assert (near.order.name, far.order.name) == ("near-0", "far-0")
        await until_acknowledged(clients, 100, by=str(pair.replica.address))
        await until_acknowledged(clients, 60)
        truth = await clients.finish()

    assert {one.node for one in truth.nodes} == {"pg1", "pg2"}
    assert truth.overlap >= 10
    assert truth.balance is not None
    (overlap,) = truth.balance.overlaps
    assert (overlap.old, overlap.new) == ("pg1", "pg2")
    # Read from the one that came last: whatever the old one took on by itself is not there.
    assert set(overlap.after) <= set(truth.lost)
    assert {"lost", "overlap"} <= {one.name for one in truth.verdict.anomalies if one.is_violation}
    assert set(truth.timing.outage_by_client) == {"near-0", "far-0"}


async def test_a_place_that_is_not_there(places: tuple[Network, PostgresPair], tmp_path: Path) -> None:
    _, pair = places
    fleet = fleet_of("postgresql", {"pg1": pair.primary}, database="postgres")
    with pytest.raises(UsageError, match="nowhere-at-all"):
        async with clients_of(fleet, tmp_path / "h.jsonl", vantages=(Vantage(name="a", namespace="nowhere-at-all"),)):
            pass
    assert not (tmp_path / "h.jsonl").exists()
