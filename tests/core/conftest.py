"""A state store on both databases, and the means to look at it from outside."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer

_NUMBERS = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one test's store is."""

    url: str
    dialect: str
    password: Secret | None = None
    path: Path | None = None  # of a SQLite file

    def open(self, **options: Any) -> AbstractAsyncContextManager[Store]:
        return open_store(self.url, password=self.password, **{"clock": SystemClock(), **options})


@pytest.fixture(params=["sqlite", "postgresql"])
def state_server(request: pytest.FixtureRequest) -> PostgresServer | None:
    """The server of the store; None for SQLite. Not async, because a running loop cannot start another fixture's."""
    return request.getfixturevalue("postgres15") if request.param == "postgresql" else None


@pytest.fixture
async def place(state_server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place for a store, on each database in turn."""
    if state_server is None:
        yield sqlite_place(tmp_path / "dbre.db")
    else:
        async with _database(state_server) as one:
            yield one


@pytest.fixture
async def postgres_place(postgres15: PostgresServer) -> AsyncIterator[Place]:
    async with _database(postgres15) as one:
        yield one


@pytest.fixture
def make_place() -> Callable[[Path], Place]:
    return sqlite_place


@pytest.fixture
def file_place(tmp_path: Path) -> Place:
    return sqlite_place(tmp_path / "dbre.db")


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """A fresh store on each database."""
    async with place.open(migrate=True) as store:
        yield store


def sqlite_place(path: Path) -> Place:
    return Place(url=f"sqlite:///{path}", dialect="sqlite", path=path)


@asynccontextmanager
async def _database(server: PostgresServer) -> AsyncIterator[Place]:
    name = f"state_{next(_NUMBERS)}"
    async with await server.connect() as admin:
        await admin.execute(f"CREATE DATABASE {name}")
    yield Place(url=f"postgresql://{server.superuser}@{server.address}/{name}", dialect="postgresql", password=server.password)
    async with await server.connect() as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
