"""A minor version of PostgreSQL rolled out for real where Patroni starts the servers: two builds, and back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from patroni_kit import patroni_walker

from dbre.core.clock import SystemClock
from dbre.core.errors import Unsupported
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.etcd import etcd_members, find_etcd
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.program import find_patroni
from dbre.lab.patroni.server import NodeOptions, PatroniServer
from dbre.lab.site import Site
from dbre.ports.lease_settings import PRESETS
from dbre.testing.fixtures import installed, leave_out
from dbre.testing.patroni_fixtures import APPLICATION, OBSERVER
from other_builds import Builds, postgres_builds, text_of
from upgrade_kit import results_of, steps_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """Nodes whose programs are behind a link of their own, as on machines of their own."""

    cluster: PatroniCluster
    builds: Builds
    links: Mapping[str, Path]

    def commands(self, after: Path) -> list[dict[str, Any]]:
        before = self.builds.older.directory
        return [
            {
                "instance": name,
                "install": ["/bin/ln", "-sfn", str(after), str(link)],
                "put_back": ["/bin/ln", "-sfn", str(before), str(link)],
                "version": [str(link / "postgres"), "--version"],
            }
            for name, link in self.links.items()
        ]

    async def versions(self) -> set[str]:
        found = set()
        for one in self.cluster.nodes:
            async with await one.connect() as connection:
                row = await (await connection.execute("SHOW server_version")).fetchone()
            assert row is not None
            found.add(str(row[0]).split(" ")[0])
        return found


@pytest.fixture
async def swapped(lab_site: Site) -> AsyncIterator[Swapped]:
    try:
        builds = await postgres_builds(lab_site)
        program = await find_patroni(account=lab_site.account, cache=lab_site.cache)
    except Unsupported as error:
        leave_out(error)
    etcd = etcd_members("up-etcd", [lab_site], program=installed(lambda: find_etcd(account=lab_site.account)))
    options, nodes, links = NodeOptions(scope="shop", etcd=etcd), list[PatroniServer](), {}
    for name in ("up-p1", "up-p2", "up-p3"):
        link = links[f"db-{name}"] = lab_site.directory / f"{name}-programs"
        link.symlink_to(builds.older.directory)
        own, first = replace(builds.older, directory=link), nodes[0] if nodes else None
        nodes.append(PatroniServer(name, lab_site, binaries=own, program=program, options=options, first=first))
    cluster = PatroniCluster(etcd, nodes)
    try:
        await cluster.start(PRESETS["lan-fast"], logins=(OBSERVER, APPLICATION))
        yield Swapped(cluster=cluster, builds=builds, links=links)
    finally:
        await cluster.destroy()
        for one in links.values():
            with suppress(FileNotFoundError):
                one.unlink()


async def test_patroni_runs_the_newer_build_on_every_node(swapped: Swapped, store: Store) -> None:
    old, builds = await swapped.cluster.wait_healthy(), swapped.builds
    assert await swapped.versions() == {text_of(builds.older)}
    walker = patroni_walker(swapped.cluster, store, commands=swapped.commands(builds.newer.directory))

    record = await walker.do("upgrade.minor")

    assert record.state is OperationState.SUCCEEDED, record.error
    replicas = [f"db-{one.name}" for one in swapped.cluster.nodes if one is not old]
    assert steps_of(record) == ["look", *(f"replace:{name}" for name in replicas), "switch", f"replace:db-{old.name}"]
    told = results_of(record)[f"replace:db-{old.name}"]
    assert (told["before"], told["version"], told["how"]) == (text_of(builds.older), text_of(builds.newer), "upgraded")
    assert await swapped.versions() == {text_of(builds.newer)}
    assert (await swapped.cluster.wait_healthy()) is not old


async def test_the_older_build_is_put_back_by_patroni_where_the_newer_does_not_start(
    swapped: Swapped, store: Store, lab_site: Site
) -> None:
    old, builds = await swapped.cluster.wait_healthy(), swapped.builds
    broken = lab_site.directory / "up-patroni-broken"
    lab_site.make_directory(broken)
    for one in builds.newer.directory.iterdir():
        (broken / one.name).symlink_to(one)
    (broken / "postgres").unlink()
    program = builds.newer.program("postgres")
    (broken / "postgres").write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {program} --version\nexit 1\n')
    (broken / "postgres").chmod(0o755)
    walker = patroni_walker(swapped.cluster, store, commands=swapped.commands(broken), start="30s", stop="30s")

    record = await walker.do("upgrade.minor")

    assert record.state is OperationState.FAILED, record.error  # the failed step has put itself back
    assert record.error is not None
    assert "is not whole with its new programs" in record.error["message"]
    assert steps_of(record) == ["look"]
    assert await swapped.cluster.wait_healthy() is old
    assert await swapped.versions() == {text_of(builds.older)}
