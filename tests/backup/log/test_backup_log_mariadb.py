"""The keeper knows no engine: the binary log of MariaDB is received and sealed by the same code."""

from pathlib import Path

import asyncmy
from log_plane import CLUSTER, Plane, plane, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.gaps import ancestry, stretches
from dbre.capabilities.backup.model import LogState, StoredLog
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running


async def stored(one: Plane) -> list[StoredLog]:
    logs = (await load_catalog(one.store, CLUSTER)).logs
    return [log for log in logs if log.state in (LogState.VAULTED, LogState.VERIFIED)]


async def test_binary_logs_are_received_and_sealed(mariadb: MariaDbServer, lab_site: Site, workplace: Path) -> None:
    async with (
        running(MariaDbServer("kept-mariadb", lab_site, program=mariadb.program)) as server,
        plane(workplace, [server], cache=lab_site.cache) as one,
        one.keeping() as keeper,
    ):

        async def is_received() -> bool:
            return keeper.flushed(CLUSTER) is not None

        await until(is_received, "the binary log is received")
        where = server.address
        session = await asyncmy.connect(
            host=where.host, port=where.port, user=server.superuser, password=server.password.reveal()
        )
        async with session, session.cursor() as cursor:
            for _ in range(3):
                await cursor.execute("FLUSH BINARY LOGS")

        async def has_files() -> bool:
            return len(await stored(one)) >= 3

        await until(has_files, "three files are in the vault")
        logs = await stored(one)
        timeline = logs[0].file.timeline
        assert len(stretches(logs, ancestry([], timeline))) == 1
        assert all(log.vaults == ("cellar",) for log in logs)
