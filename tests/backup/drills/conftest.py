"""One cluster that was really backed up, for all tests of drills."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from drills_world import World, living_world

from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(lab_site: Site) -> AsyncIterator[World]:
    """A backed-up PostgreSQL 18 that is no longer written to."""
    binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=18)
    directory = Path(tempfile.mkdtemp(prefix="drills-", dir=lab_site.directory))
    directory.chmod(0o711)
    async with (
        running(PostgresServer("drills", lab_site, binaries=binaries)) as server,
        living_world(lab_site, server, directory / "world") as made,
    ):
        yield made
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def place(lab_site: Site) -> AsyncIterator[Path]:
    """A new directory that accounts of servers may pass; it does not exist yet."""
    parent = Path(tempfile.mkdtemp(prefix="drill-", dir=lab_site.directory))
    parent.chmod(0o711)
    yield parent / "one"
    shutil.rmtree(parent, ignore_errors=True)
