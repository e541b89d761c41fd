"""A state store on both databases, and the means to look at it from outside."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from migrated_stores import state_database


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
async def place(request: pytest.FixtureRequest, state_server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place for a store, on each database in turn; a migrated one where the test also asks for ``store``."""
    if state_server is None:
        yield sqlite_place(tmp_path / "dbre.db")
    else:
        async with state_database(state_server, is_migrated="store" in request.fixturenames) as url:
            yield Place(url=url, dialect="postgresql", password=state_server.password)


@pytest.fixture
async def store(place: Place, migrated_file: Path) -> AsyncIterator[Store]:
    """A fresh store on each database."""
    if place.path is not None:
        shutil.copy(migrated_file, place.path)
    async with place.open(migrate=True) as store:
        yield store


@pytest.fixture
async def postgres_place(postgres15: PostgresServer) -> AsyncIterator[Place]:
    async with state_database(postgres15, is_migrated=False) as url:
        yield Place(url=url, dialect="postgresql", password=postgres15.password)


@pytest.fixture
def make_place() -> Callable[[Path], Place]:
    return sqlite_place


@pytest.fixture
def file_place(tmp_path: Path) -> Place:
    return sqlite_place(tmp_path / "dbre.db")


def sqlite_place(path: Path) -> Place:
    return Place(url=f"sqlite:///{path}", dialect="sqlite", path=path)
