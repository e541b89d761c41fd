"""Pytest fixtures of servers that carry streams of events."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.lab.nats import NatsServer, find_nats
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running

__all__ = ["nats_server"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(lab_site: Site) -> AsyncIterator[NatsServer]:
    """NATS with JetStream, from the distribution."""
    program = installed(lambda: find_nats(account=lab_site.account))
    async with running(NatsServer("nats", lab_site, program=program)) as server:
        yield server
