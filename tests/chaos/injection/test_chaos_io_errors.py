"""A broken device: what a server tells its clients when reads or fsyncs fail, and that all is there again afterwards."""

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


@pytest.mark.parametrize("version", [15, 18])
@pytest.mark.parametrize("end", ["injector", "runner"])
async def test_the_log_cannot_be_synced(lab_site: Site, tmp_path: Path, version: int, end: str) -> None:
    """The server ends itself rather than tell a client that something is durable; what it told before is there afterwards."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=version)
    except Unsupported as error:
        leave_out(error)
    server = PostgresServer(f"chaos-sync-{version}-{end}", lab_site, binaries=binaries, settings={**SMALL, "fsync": "on"})
    acknowledged: list[int] = []
    async with running(server):
        async with await server.connect() as admin:
            await admin.execute("CREATE TABLE kept (n int PRIMARY KEY)")

        async def is_broken() -> bool:
            number = len(acknowledged) + len(failed)
            try:
                async with await server.connect() as client:
                    await client.execute("INSERT INTO kept VALUES (%s)", (number,))
            except psycopg.OperationalError as error:  # the session is lost, or none is let in
                failed[number] = str(error)
                return True
            acknowledged.append(number)
            return False

        failed: dict[int, str] = {}
        under = str(server.data_directory.resolve() / "pg_wal")
        given = {"calls": "fsync", "error": "EIO", "under": under, "restarts": True}
        await come_and_go(server, {"io-fault": (given, is_broken)}, tmp_path, end)
        assert acknowledged
        assert failed
        async with await server.connect() as admin:
            rows = await (await admin.execute("SELECT n FROM kept")).fetchall()
        log = server.log_file.read_text(errors="replace")
    assert set(acknowledged) <= {row[0] for row in rows}
    assert "PANIC:  could not fdatasync file" in log
    assert "Input/output error" in log
