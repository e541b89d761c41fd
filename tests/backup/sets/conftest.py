"""Stores for the tests of sets, policies and retention."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sets_kit import START

from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.testing.clock import FakeClock

_NUMBERS = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, postgres15: PostgresServer) -> AsyncIterator[Store]:
    """An empty state store, on both databases."""
    if request.param == "sqlite":
        async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=FakeClock(START), migrate=True) as made:
            yield made
        return
    name = f"backup_sets_{next(_NUMBERS)}"
    async with await postgres15.connect() as admin:
        await admin.execute(f"CREATE DATABASE {name}")
    url, password = f"postgresql://{postgres15.superuser}@{postgres15.address}/{name}", postgres15.password
    assert isinstance(password, Secret)
    async with open_store(url, password=password, clock=FakeClock(START), migrate=True) as made:
        yield made
    async with await postgres15.connect() as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
