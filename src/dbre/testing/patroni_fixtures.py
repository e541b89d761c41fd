"""Fixtures with Patroni and etcd: ``pytest_plugins = ["dbre.testing.patroni_fixtures"]``."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from dbre.core.errors import Unsupported
from dbre.core.secrets import Secret
from dbre.engines.postgres.binaries import find_postgres
from dbre.lab.destruction import destroy
from dbre.lab.etcd import EtcdServer, etcd_members, find_etcd, start_together
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.program import find_patroni
from dbre.lab.server import Login
from dbre.lab.site import Site
from dbre.ports.lease_settings import PRESETS, LeaseSettings
from dbre.testing.fixtures import installed, leave_out, running

__all__ = ["etcd_server", "etcd_trio", "patroni_cluster", "running_patroni"]

APPLICATION = Login(user="app", password=Secret("application"), is_observer=False)
OBSERVER = Login(user="dbre", password=Secret("observer"), is_observer=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def etcd_server(lab_site: Site) -> AsyncIterator[EtcdServer]:
    """An etcd of one member."""
    program = installed(lambda: find_etcd(account=lab_site.account))
    async with running(EtcdServer("etcd", lab_site, program=program)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def etcd_trio(lab_site: Site) -> AsyncIterator[tuple[EtcdServer, ...]]:
    """A private etcd of three members."""
    program = installed(lambda: find_etcd(account=lab_site.account))
    site = _own(lab_site)
    members = etcd_members("etcd", [site] * 3, program=program)
    try:
        await start_together(members)
        yield members
    finally:
        destroy(site.directory)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def patroni_cluster(lab_site: Site) -> AsyncIterator[PatroniCluster]:
    """Three nodes of PostgreSQL 15 over an etcd of three; whoever breaks it mends it: ``wait_healthy``."""
    async with running_patroni(lab_site) as cluster:
        yield cluster


@asynccontextmanager
async def running_patroni(
    lab_site: Site, settings: LeaseSettings = PRESETS["lan-fast"], *, nodes: int = 3, version: int | None = 15
) -> AsyncIterator[PatroniCluster]:
    """A cluster of one's own, gone afterwards."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=version)
        program = await find_patroni(account=lab_site.account, cache=lab_site.cache)
    except Unsupported as error:
        leave_out(error)
    etcd = installed(lambda: find_etcd(account=lab_site.account))
    site = _own(lab_site)
    cluster = PatroniCluster.at(
        [site] * nodes,
        etcd_members("etcd", [site] * 3, program=etcd),
        names=[f"n{number}" for number in range(1, nodes + 1)],
        scope="shop",
        binaries=binaries,
        program=program,
    )
    try:
        await cluster.start(settings, logins=(OBSERVER, APPLICATION))
        yield cluster
    finally:
        destroy(site.directory)


def _own(site: Site) -> Site:
    directory = Path(tempfile.mkdtemp(prefix="own-", dir=site.directory))
    directory.chmod(0o711)
    return replace(site, directory=directory)
