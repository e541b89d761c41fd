"""A Redis with a ledger, copies of it, and its log; made once for all tests that only look."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis_copies_kit import SETTINGS, RedisCopies, RedisHistory, own, redis_scratch, write_redis_history

from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_history(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisHistory]:
    with redis_scratch(lab_site) as directory:
        async with running(RedisServer("copied-redis", lab_site, program=redis_server.program, settings=SETTINGS)) as server:
            spool = own(directory / "spool", lab_site)
            yield await write_redis_history(RedisCopies(server, lab_site, directory), spool)
