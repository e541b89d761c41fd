"""A MariaDB with a ledger, a full copy, an incremental one, and log after them; made once for all tests that only look."""

from collections.abc import AsyncIterator

import pytest_asyncio
from mariadb_kit import Copies, History, scratch, write_history

from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def history(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[History]:
    settings = {"sync-binlog": "1", "innodb-flush-log-at-trx-commit": "1"}
    with scratch(lab_site) as directory:
        async with running(MariaDbServer("copied-mariadb", lab_site, program=mariadb.program, settings=settings)) as server:
            yield await write_history(server, Copies(server, lab_site, directory))
