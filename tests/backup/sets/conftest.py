"""Stores for the tests of sets, policies and retention."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sets_kit import START
from taking_kit import Settings, World, settings_in, where_is, world_of

from dbre.core.errors import Unsupported
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.clock import FakeClock
from dbre.testing.fixtures import leave_out, running
from dbre.testing.small_log import make_log_small
from migrated_stores import state_database


@pytest.fixture(params=["sqlite", "postgres"])
async def store(
    request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path, postgres15: PostgresServer
) -> AsyncIterator[Store]:
    """An empty state store, on both databases."""
    if request.param == "sqlite":
        path = shutil.copy(migrated_file, tmp_path / "dbre.db")
        async with open_store(f"sqlite:///{path}", clock=FakeClock(START)) as made:
            yield made
        return
    async with (
        state_database(postgres15) as url,
        open_store(url, password=postgres15.password, clock=FakeClock(START)) as made,
    ):
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def copied_postgres(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """A server of the newest PostgreSQL that gives increments, for all tests of this directory."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache)
    except Unsupported as error:
        leave_out(error)
    server = PostgresServer("copied", lab_site, binaries=binaries, settings={"summarize_wal": "on", "max_wal_size": "2GB"})
    async with running(server) as started:
        await make_log_small(started)  # most copies hold their log
        async with await started.connect() as connection:
            await connection.execute("CREATE TABLE ledger (id bigint PRIMARY KEY, words text)")
        yield started


@pytest.fixture
def world_settings(copied_postgres: PostgresServer, lab_site: Site) -> Iterator[Settings]:
    """A world of its own, below a directory that the servers' account may pass."""
    directory = Path(tempfile.mkdtemp(prefix="sets-", dir=lab_site.directory))
    directory.chmod(0o711)
    yield settings_in(directory, lab_site.cache, where_is(copied_postgres))
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def world(world_settings: Settings) -> AsyncIterator[World]:
    """Everything that backups need, around the server."""
    async with world_of(world_settings) as made:
        yield made
