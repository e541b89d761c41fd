"""One cluster with a full set, two incrementals and a ledger, shared by the tests that bring moments of it back."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from restoring_scene_kit import Scene, scene_of

from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(lab_site: Site) -> AsyncIterator[Scene]:
    """Full set, rows, incremental, rows, incremental, rows, a restore point, rows; all log is in the vault."""
    root = Path(tempfile.mkdtemp(prefix="restoring-", dir=lab_site.directory))
    root.chmod(0o711)
    binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=18)
    settings = {"summarize_wal": "on", "wal_keep_size": "1GB", "track_commit_timestamp": "on"}
    server = PostgresServer("restored-source", lab_site, binaries=binaries, settings=settings)
    url = f"sqlite:///{root / 'dbre.db'}"
    async with (
        running(server),
        open_store(url, clock=SystemClock(), migrate=True) as store,
        scene_of(server, lab_site, store, root) as made,
    ):
        await made.write(20)
        full = await made.take()
        await made.write(60, pause=0.01)
        await made.sample()
        first = await made.take(parent=full)
        await made.write(60, pause=0.01)
        await made.sample()
        await made.take(parent=first)
        await made.write(60, pause=0.01)
        await made.query("SELECT pg_create_restore_point('before_the_accident')")
        await made.write(40, pause=0.01)
        await made.sample()
        await made.keep_log()
        yield made
    shutil.rmtree(root, ignore_errors=True)
