"""A server that faults may break."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def victim(lab_site: Site) -> AsyncIterator[RedisServer]:
    """Redis, because it starts in a tenth of a second."""
    program = installed(lambda: find_redis(account=lab_site.account))
    async with running(RedisServer("chaos-victim", lab_site, program=program)) as server:
        yield server
