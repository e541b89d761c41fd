"""A database of its own for each test, on servers that all tests share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from integrity_kit import Place, database_of

from dbre.lab.postgres import PostgresServer


@pytest.fixture(params=["postgres15", "postgres18"])
def any_postgres(request: pytest.FixtureRequest) -> PostgresServer:
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def place(any_postgres: PostgresServer) -> AsyncIterator[Place]:
    async for one in database_of(any_postgres):
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def place15(postgres15: PostgresServer) -> AsyncIterator[Place]:
    async for one in database_of(postgres15):
        yield one
