"""One server with both repositories, made once: a full copy, log, another copy, log."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import foreign_kit as kit
import pytest
import pytest_asyncio

from dbre.core.errors import Unsupported
from dbre.lab.destruction import destroy
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.model import CopyKind
from dbre.testing.fixtures import leave_out, running


async def no_progress(done: int, total: int | None) -> None:
    pass


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def foreign(lab_site: Site) -> AsyncIterator[kit.Foreign]:
    """Both repositories; nobody may change them: those who break something take ``broken``."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    except Unsupported as error:
        leave_out(error)
    home = lab_site.make_directory(lab_site.directory / "foreign")
    server = PostgresServer("foreign-source", lab_site, binaries=binaries, settings=kit.settings(home))
    async with running(server):
        made = kit.Foreign(site=lab_site, server=server, home=home)
        await kit.configure(made)
        assert made.run_pgbackrest("stanza-create").returncode == 0
        assert made.run_barman("receive-wal", "--create-slot", kit.STANZA).returncode == 0
        receiver = kit.receive(made)
        try:
            await _fill(made)
            yield made
        finally:
            os.killpg(receiver.pid, signal.SIGKILL)
            receiver.wait()


async def _fill(made: kit.Foreign) -> None:
    """Both tools at the same time: most of what they do is to wait."""
    barman = asyncio.create_task(kit.wait_for_barman(made))
    try:
        await made.pgbackrest().backup(CopyKind.FULL, no_progress)
        await barman
        barman = asyncio.create_task(_full_copies(made, 2))
        for _ in range(3):
            await made.add_rows(100)
        await made.pgbackrest().backup(CopyKind.INCREMENTAL, no_progress)
        await made.pgbackrest().backup(CopyKind.FULL, no_progress)
        await barman
    finally:
        barman.cancel()
        await asyncio.gather(barman, return_exceptions=True)
    for _ in range(3):
        await made.add_rows(100)
    [(wanted,)] = await made.sql("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)")
    await kit.until(lambda: any(made.pgbackrest_log.glob(f"{wanted}-*")), f"{wanted} in the archive of pgBackRest")

    def barman_has_it() -> bool:
        made.run_barman("archive-wal", kit.STANZA)
        return (made.barman_log / wanted).exists()

    await kit.until(barman_has_it, f"{wanted} in the archive of Barman")


async def _full_copies(made: kit.Foreign, count: int) -> None:
    for _ in range(count):
        await made.barman().backup(CopyKind.FULL, no_progress)


@pytest.fixture
def broken(foreign: kit.Foreign, request: pytest.FixtureRequest) -> Iterator[kit.Foreign]:
    """A copy of both repositories, for this test to break."""
    copy = foreign.copy(f"broken-{abs(hash(request.node.nodeid)) % 10**8}")
    yield copy
    destroy(copy.home)
