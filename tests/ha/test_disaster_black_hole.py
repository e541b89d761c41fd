"""A site that nobody reaches: a fence that answers all the same, a word that stands for one, and what it does not outweigh."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from disaster_kit import CLOCK, Sites, results
from rejoin_kit import forkable
from switchover_kit import controlled

from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.errors import Unsupported
from dbre.core.fleet import Fleet
from dbre.core.operation.states import OperationState
from dbre.core.packets.commands import command
from dbre.core.packets.cutting import Cut, cut
from dbre.core.programs.account import Account
from dbre.core.store import Store, open_store
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair, leave_out, running

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(600)]

WORD = {"primary": "n1", "accept_loss": True, "attested_by": "anna", "attested": "the data centre burns"}
UNFENCED = {"fence": [{"kind": "network", "namespace": "dbre-no-such-namespace"}]}


@dataclass(kw_only=True)
class Far:
    """Two sites with addresses of their own; nothing says how ``n1`` is stopped: it is on a machine that we do not see."""

    network: Network
    pair: PostgresPair
    sites: Sites

    @property
    def host(self) -> str:
        return self.pair.primary.address.host

    def black_hole(self) -> None:
        """Packets to and from the first site are lost without a word."""
        cut(Cut(), f"dbre_test_{os.getpid()}", self.network.namespace("n1"))

    async def silent(self, store: Store, **asked: Any) -> Any:
        """The plan, once the replica has noticed that nothing comes any more."""
        end = time.monotonic() + 90
        while True:
            try:
                return await self.sites.planned(store, "ha.dr_failover", **asked)
            except FailoverRefused as error:
                if "replicas_lost_it" not in error.message or time.monotonic() > end:
                    raise
            await asyncio.sleep(0.5)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=False, migrate=True) as opened:
        yield opened


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with temporary_site(prefix="dbre-test-net-") as site:
        try:
            network = Network.create(site.directory)
            binaries = await find_postgres(account=site.account, cache=site.cache)
        except Unsupported as error:
            leave_out(error)
        given = {"wal_sender_timeout": "3s", "wal_receiver_timeout": "3s"}
        east, west = (site.at(network.host(name)) for name in ("n1", "n2"))
        async with (
            running(PostgresServer("n1", east, binaries=binaries, settings=given)) as primary,
            running(PostgresServer("n2", west, binaries=binaries, replica_of=primary, settings=given)) as replica,
        ):
            await replica.wait_streaming()
            (cluster,) = controlled("postgresql", {"n1": primary, "n2": replica}).clusters
            instances = tuple(replace(one, control=None) for one in cluster.instances)
            fleet = Fleet(clusters=(replace(cluster, instances=instances),))
            yield Far(
                network=network,
                pair=PostgresPair(primary=primary, replica=replica),
                sites=Sites(fleet=fleet, url=f"sqlite:///{tmp_path / 'state.db'}", site=site, directory=tmp_path),
            )


async def test_a_persons_word_stands_where_every_packet_is_lost(far: Far, store: Store) -> None:
    far.sites.failover = UNFENCED
    far.black_hole()
    with pytest.raises(FailoverRefused, match="fence: network"):
        await far.silent(store, primary="n1", accept_loss=True)
    await far.silent(store, **WORD)
    done = await far.sites.do(store, "ha.dr_failover", **WORD)
    assert done.state is OperationState.SUCCEEDED, done.error
    assert results(done)["fence"]["rung"] == "attested"
    assert await far.pair.replica.role() is Role.PRIMARY
    assert far.pair.primary.processes() != []  # the word was wrong: this is what the plan warns of
    assert "there will be two primaries" in done.planned.plan.warnings[0]


async def test_a_fence_that_answers_reaches_the_site_that_we_do_not(far: Far, store: Store, tmp_path: Path) -> None:
    """A switch of the power: its line is not the one that is cut."""
    namespace = far.network.hosts["n1"].namespace
    switch, look = tmp_path / "switch-off", tmp_path / "is-off"
    switch.write_text(f"#!/bin/sh\nfor one in $(/usr/sbin/ip netns pids {namespace}); do kill -9 $one; done\n")
    look.write_text(f'#!/bin/sh\ntest -z "$(/usr/sbin/ip netns pids {namespace})"\n')
    for one in (switch, look):
        one.chmod(0o700)
    far.sites.failover = {"fence": [{"kind": "command", "fence": [str(switch)], "confirm": [str(look)], "limit": "30s"}]}
    far.sites.account = Account(name="", uid=os.geteuid(), gid=os.getegid(), switch=False)
    far.black_hole()
    await far.silent(store, primary="n1", accept_loss=True)
    done = await far.sites.do(store, "ha.dr_failover", primary="n1", accept_loss=True)
    assert done.state is OperationState.SUCCEEDED, done.error
    assert results(done)["fence"]["seen"] == f"{look} says that it is off"
    assert far.pair.primary.processes() == []
    assert await far.pair.replica.role() is Role.PRIMARY


async def test_no_way_there_says_nothing_and_makes_a_persons_word_no_less(far: Far, store: Store) -> None:
    far.sites.failover = UNFENCED
    far.black_hole()
    command("ip", "route", "add", "unreachable", far.host)
    try:
        with pytest.raises(FailoverRefused, match="there is no way from here to n1, which tells nothing of it") as refused:
            await far.sites.planned(store, "ha.dr_failover", primary="n1", accept_loss=True)
        assert "replicas_lost_it" in refused.value.context["rules"]
        await far.silent(store, **WORD)
        done = await far.sites.do(store, "ha.dr_failover", **WORD)
    finally:
        command("ip", "route", "delete", "unreachable", far.host)
    assert done.state is OperationState.SUCCEEDED, done.error
    assert "if it is silent, this is dead_primary" in results(done)["confirm"]["reasons"]["replicas_lost_it"]
    assert await far.pair.replica.role() is Role.PRIMARY


async def test_no_way_and_a_replica_that_receives_prove_that_it_lives(far: Far, store: Store) -> None:
    far.sites.failover = UNFENCED
    command("ip", "route", "add", "unreachable", far.host)
    try:
        with pytest.raises(FailoverRefused, match="if it is silent, this is unreachable_primary"):
            await far.sites.planned(store, "ha.dr_failover", **WORD)
    finally:
        command("ip", "route", "delete", "unreachable", far.host)
    assert await far.pair.replica.role() is Role.REPLICA


async def test_a_word_does_not_stand_against_processes_that_are_seen_and_do_not_end(
    lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with forkable(lab_site, "drice") as pair:
        servers = {"n1": pair.primary, "n2": pair.replica}
        url = f"sqlite:///{tmp_path / 'state.db'}"
        sites = Sites(fleet=controlled("postgresql", servers), url=url, site=lab_site, directory=tmp_path)
        with frozen_for_good([one.pid for one in pair.primary.processes()]):
            far = Far(network=None, pair=pair, sites=sites)  # type: ignore[arg-type]  # all on one machine
            await far.silent(store, **WORD)
            done = await sites.run(store, await sites.submit(store, "ha.dr_failover", **WORD))
        assert done.state is not OperationState.SUCCEEDED, (
            results(done)["fence"],
            [x for x in done.steps if x.name == "fence"],
        )
        told = str((done.error or {}).get("message"))
        assert "anna vouches that n1 is dead, and processes of it are there and do not end: " in told
        assert await pair.replica.role() is Role.REPLICA


@contextmanager
def frozen_for_good(processes: list[int]) -> Iterator[None]:
    """No signal reaches what the freezer of the kernel holds, SIGKILL neither."""
    place = Path(f"/sys/fs/cgroup/freezer/dbre-test-{os.getpid()}")
    try:
        place.mkdir()
    except OSError as error:
        leave_out(Unsupported(f"the freezer of cgroups is not there: {error}", hint="mount cgroup v1 freezer, run as root"))
    try:
        for one in processes:
            (place / "cgroup.procs").write_text(str(one))
        (place / "freezer.state").write_text("FROZEN")
        yield
    finally:
        (place / "freezer.state").write_text("THAWED")
        for one in (place / "cgroup.procs").read_text().split():
            with suppress(OSError):  # it was killed meanwhile
                (place.parent / "cgroup.procs").write_text(one)
        end = time.monotonic() + 60
        while place.exists() and time.monotonic() < end:
            with suppress(OSError):
                place.rmdir()
            time.sleep(0.1)
