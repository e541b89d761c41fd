"""Two servers with everything that can be made once: PostgreSQL 18 with a chain of copies, PostgreSQL 15 with a full one."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import postgres_kit as kit
import pytest
import pytest_asyncio

from dbre.core.errors import Unsupported
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.port import PostgresBackups
from dbre.lab.destruction import destroy
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.model import CopyKind, CopyOrder, ParentCopy
from dbre.testing.fixtures import leave_out, running


@pytest.fixture
def room(lab_site: Site) -> Iterator[Path]:
    """A directory of one test, which the servers' account may enter and write."""
    directory = Path(tempfile.mkdtemp(prefix="room-", dir=lab_site.directory))
    directory.chmod(0o711)
    if lab_site.account.switch:
        os.chown(directory, lab_site.account.uid, lab_site.account.gid)
    yield directory
    destroy(directory)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def newest(lab_site: Site) -> AsyncIterator[kit.Source]:
    """PostgreSQL 18: a full copy, an incremental one, and the log of all of it."""
    async with _source(lab_site, 18, {"summarize_wal": "on"}, incremental=True) as source:
        yield source


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def oldest(lab_site: Site) -> AsyncIterator[kit.Source]:
    """PostgreSQL 15: a full copy and the log after it."""
    async with _source(lab_site, 15, {}, incremental=False) as source:
        yield source


@asynccontextmanager
async def _source(site: Site, version: int, settings: dict[str, str], *, incremental: bool) -> AsyncIterator[kit.Source]:
    try:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=version)
    except Unsupported as error:
        leave_out(error)
    home = site.make_directory(site.directory / f"backup-postgres-{version}", mode=0o711)
    server = PostgresServer(f"backup-source-{version}", site, binaries=binaries, settings=settings)
    async with running(server):
        port = PostgresBackups(kit.place_of(site))
        source = kit.Source(site=site, server=server, port=port, spool=site.make_directory(home / "spool"))
        receiver = port.receiver(source.access, ReceiveOrder(spool=source.spool, name="dbre_session"))
        task = asyncio.create_task(receiver.run())
        try:
            await _fill(source, home, incremental=incremental)
            async with await server.connect() as connection:
                await connection.execute("SELECT pg_switch_wal()")
            end = parse_lsn(source.ledger[-1].lsn, timeline=1)
            deadline = time.monotonic() + kit.LIMIT_SECONDS
            while (receiver.flushed() or parse_lsn("0/0", timeline=1)) < end:
                assert not task.done(), task.exception()
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        yield source


async def _fill(source: kit.Source, home: Path, *, incremental: bool) -> None:
    async with await source.server.connect() as connection:
        await connection.execute("CREATE TABLE ledger (number integer PRIMARY KEY)")
        await connection.execute(
            "CREATE TABLE ballast AS SELECT i, repeat('x', 100) AS text FROM generate_series(1, 20000) AS i"
        )
    await kit.append(source, 5)
    await _copy(source, home / "full", CopyKind.FULL)
    await kit.append(source, 5)
    if incremental:
        await _copy(source, home / "incremental", CopyKind.INCREMENTAL)
        await kit.append(source, 5)
    async with await source.server.connect() as connection:
        await connection.execute("SELECT pg_create_restore_point('after the copies')")
        await connection.execute("SELECT pg_switch_wal()")
    await kit.append(source, 10)


async def _copy(source: kit.Source, directory: Path, kind: CopyKind) -> None:
    source.site.make_directory(directory)
    parent = ParentCopy(set_id="before", manifest=source.chain[-1] / "backup_manifest") if source.chain else None
    order = CopyOrder(set_id=directory.name, kind=kind, directory=directory, parent=parent)
    source.facts.append(await source.port.copy(source.access, order, kit.quiet))
    source.chain.append(directory)
