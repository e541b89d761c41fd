"""A pair of servers that experiments may break, and an installation of dbre that knows it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from resilience_kit import Installation, RedisPair

from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_pair(lab_site: Site) -> AsyncIterator[RedisPair]:
    """Redis, because it starts in a tenth of a second."""
    program = installed(lambda: find_redis(account=lab_site.account))
    primary = RedisServer("resilience-a", lab_site, program=program)
    async with running(primary):
        replica = RedisServer("resilience-b", lab_site, program=program, replica_of=primary)
        async with running(replica):
            yield RedisPair(primary=primary, replica=replica)


@pytest_asyncio.fixture
async def installation(redis_pair: RedisPair, tmp_path: Path) -> AsyncIterator[Installation]:
    """Both whole at the end, whatever a test did."""
    made = Installation(redis_pair, tmp_path)
    try:
        yield made
    finally:
        await redis_pair.thaw()
