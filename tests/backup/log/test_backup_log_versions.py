"""The keeper on the other major versions of PostgreSQL that are here: received, ended while quiet, stored, read."""

from pathlib import Path

import pytest
from log_plane import CLUSTER, plane, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.origin import receiver_name
from dbre.capabilities.backup.log.status import LogStatus, log_status
from dbre.capabilities.backup.model import LogState
from dbre.core.errors import Unsupported
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running


@pytest.mark.parametrize("version", [15, 16])  # the newest is that of all other tests here
async def test_the_keeper_works_on_older_versions(lab_site: Site, workplace: Path, version: int) -> None:
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=version)
    except Unsupported as error:
        leave_out(error)
    async with (
        running(PostgresServer(f"kept-{version}", lab_site, binaries=binaries)) as server,
        plane(workplace, [server], cache=lab_site.cache, seal_after="1s") as one,
        one.keeping() as keeper,
    ):

        async def is_received() -> LogStatus | None:
            status = await log_status(one.ground, one.store, CLUSTER)
            return status if status.is_good and keeper.flushed(CLUSTER) is not None else None

        status = await until(is_received, "somebody receives, and nothing is wrong")
        assert status.backlog is not None
        assert (status.backlog.active_by or "").startswith(receiver_name(CLUSTER))
        async with await server.connect() as connection:
            await connection.execute("CREATE TABLE quiet (id bigint)")

        async def is_verified() -> bool:
            async with await server.connect() as connection:  # a file is read when the next one is here
                await connection.execute("INSERT INTO quiet VALUES (1)")
            return any(log.state is LogState.VERIFIED for log in (await load_catalog(one.store, CLUSTER)).logs)

        await until(is_verified, "a file is stored and read, though nobody ended it by hand")
