"""Migrated state stores to copy: ten times faster than migrating another for each test."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.lab.postgres import PostgresServer

_NUMBERS = itertools.count(1)
_TEMPLATE = "state_template"


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that holds every table and no row."""
    path = tmp_path_factory.mktemp("migrated") / "dbre.db"
    async with open_store(f"sqlite:///{path}", clock=SystemClock(), migrate=True):
        pass
    return path


@asynccontextmanager
async def state_database(server: PostgresServer, *, is_migrated: bool = True) -> AsyncIterator[str]:
    """The URL of a database of its own for a state store, gone afterwards."""
    name = f"state_{next(_NUMBERS)}"
    template = await _migrated(server) if is_migrated else "template1"
    async with await server.connect() as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _url(server, name)
    async with await server.connect() as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _migrated(server: PostgresServer) -> str:
    """The name of a database that holds every table and no row."""
    async with await server.connect() as admin:
        if await (await admin.execute("SELECT FROM pg_database WHERE datname = %s", [_TEMPLATE])).fetchone() is None:
            await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
            async with open_store(_url(server, _TEMPLATE), password=server.password, clock=SystemClock(), migrate=True):
                pass
    return _TEMPLATE


def _url(server: PostgresServer, database: str) -> str:
    return f"postgresql://{server.superuser}@{server.address}/{database}"
