"""A broken device: what a server tells its clients when reads of a table fail, and that all is there again afterwards."""

from pathlib import Path

import psycopg
import pytest
from injection_kit import SMALL
from server_faults_kit import come_and_go

from dbre.core.errors import Unsupported
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

pytestmark = [pytest.mark.slow, pytest.mark.soak]
_ROWS = 1000


@pytest.mark.parametrize("version", [15, 18])
@pytest.mark.parametrize("end", ["injector", "runner"])
async def test_a_table_cannot_be_read(lab_site: Site, tmp_path: Path, version: int, end: str) -> None:
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=version)
    except Unsupported as error:
        leave_out(error)
    more = {"io_method": "sync"} if version >= 18 else {}  # else other processes read, some of them through io_uring
    server = PostgresServer(f"chaos-io-{version}-{end}", lab_site, binaries=binaries, settings={**SMALL, **more})
    async with running(server):
        async with await server.connect() as admin:
            await admin.execute(f"CREATE TABLE cold AS SELECT generate_series(1, {_ROWS}) AS n")
            await admin.execute("CHECKPOINT")
            row = await (await admin.execute("SELECT pg_relation_filepath('cold')")).fetchone()
        assert row is not None

        async def is_broken() -> bool:
            async with await server.connect() as admin:
                await admin.execute("SELECT count(*) FROM pg_class")  # other tables are read
                try:
                    found = await (await admin.execute("SELECT count(*) FROM cold")).fetchone()
                except psycopg.errors.IoError as error:
                    return "Input/output error" in str(error)
                assert found == (_ROWS,)
            return False

        under = str(server.data_directory.resolve() / row[0])
        given = {"calls": "read", "error": "EIO", "under": under, "restarts": True}
        await come_and_go(server, {"io-fault": (given, is_broken)}, tmp_path, end)
