"""A state store on both databases, and the means to look at it from outside."""

import itertools
import shutil
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
async def place(request: pytest.FixtureRequest, state_server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place for a store, on each database in turn; a migrated one where the test also asks for ``store``."""
    if state_server is None:
        yield sqlite_place(tmp_path / "dbre.db")
    else:
        template = await _template(state_server) if "store" in request.fixturenames else "template1"
        async with _database(state_server, template) as one:
            yield one


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file: copying it is ten times faster than migrating another."""
    path = tmp_path_factory.mktemp("template") / "dbre.db"
    async with sqlite_place(path).open(migrate=True):
        pass
    return path


@pytest.fixture
async def store(place: Place, sqlite_template: Path) -> AsyncIterator[Store]:
    """A fresh store on each database."""
    if place.path is not None:
        shutil.copy(sqlite_template, place.path)
    async with place.open(migrate=True) as store:
        yield store


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


def sqlite_place(path: Path) -> Place:
    return Place(url=f"sqlite:///{path}", dialect="sqlite", path=path)


@asynccontextmanager
async def _database(server: PostgresServer, template: str = "template1") -> AsyncIterator[Place]:
    name = f"state_{next(_NUMBERS)}"
    async with await server.connect() as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _postgres_place(server, name)
    async with await server.connect() as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _template(server: PostgresServer) -> str:
    """The name of a migrated database: copying it is faster than migrating another."""
    name = "state_template"
    async with await server.connect() as admin:
        if await (await admin.execute("SELECT FROM pg_database WHERE datname = %s", [name])).fetchone() is None:
            await admin.execute(f"CREATE DATABASE {name}")
            async with _postgres_place(server, name).open(migrate=True):
                pass
    return name


def _postgres_place(server: PostgresServer, database: str) -> Place:
    url = f"postgresql://{server.superuser}@{server.address}/{database}"
    return Place(url=url, dialect="postgresql", password=server.password)
