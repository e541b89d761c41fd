"""A server that faults may break."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from chaos_network_kit import Networked
from injection_kit import SMALL

from dbre.core.errors import Unsupported
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site
from dbre.testing.fixtures import installed, leave_out, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def victim(lab_site: Site) -> AsyncIterator[RedisServer]:
    """Redis, because it starts in a tenth of a second."""
    program = installed(lambda: find_redis(account=lab_site.account))
    async with running(RedisServer("chaos-victim", lab_site, program=program)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small_postgres(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """PostgreSQL with places for 20 sessions."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    except Unsupported as error:
        leave_out(error)
    server = PostgresServer("chaos-small", lab_site, binaries=binaries, settings=SMALL)
    async with running(server):
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def networked() -> AsyncIterator[Networked]:
    """A PostgreSQL primary and its replica, each in a network namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with temporary_site(prefix="dbre-test-net-") as site:
        try:
            network = Network.create(site.directory)
            binaries = await find_postgres(account=site.account, cache=site.cache)
        except Unsupported as error:
            leave_out(error)
        primary = PostgresServer("net-a", site.at(network.host("a")), binaries=binaries)
        replica = PostgresServer("net-b", site.at(network.host("b")), binaries=binaries, replica_of=primary)
        async with running(primary), running(replica):
            yield Networked(network=network, primary=primary, replica=replica)
