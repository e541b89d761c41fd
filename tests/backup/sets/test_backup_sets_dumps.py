"""A policy whose provider is dump: taken, drilled and restored by the same operations as copies of files."""

import shutil
import tempfile
from pathlib import Path

import pytest
from taking_kit import settings_in, where_is, world_of

from dbre.capabilities.backup.catalog.drills import list_drills
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.reading_back import read_back
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.backup.model import CopyKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def prove(server: LabServer, site: Site, engine: str, database: str, question: str) -> tuple[Path, Path]:
    """Take, drill, restore; gives the directory of all and the restored one."""
    directory = Path(tempfile.mkdtemp(prefix="dump-policy-", dir=site.directory))
    directory.chmod(0o711)
    where = where_is(server, engine=engine, database=database)
    drill = {
        "checks": ["extensions", "queries"],
        "queries": [{"name": "enough", "sql": question, "database": database, "at_least": {"n": 100}}],
    }
    settings = settings_in(directory, site.cache, where, provider="dump", log={}, drill=drill)
    async with world_of(settings) as world:
        record = await world.run("backup.take", cluster="orders")
        assert record.state == "succeeded", record.error
        one = await world.newest()
        assert (one.state, one.kind, one.provider, one.stop) == (SetState.SEALED, CopyKind.LOGICAL, "dump", None)
        assert (await read_back(world.ground, one, "far")).is_good
        drilled = await world.run("backup.drill", cluster="orders")
        assert drilled.state == "succeeded", drilled.error
        async with world.store.read() as connection:
            (found,) = await list_drills(connection, cluster="orders")
        assert found.verdict == "pass", found.reason
        assert {"load", "provision"} <= {phase.name for phase in found.phases}
        target = directory / "restored"
        restored = await world.run(
            "backup.restore", cluster="orders", target={"kind": "latest"}, directory=str(target), check=False
        )
        assert restored.state == "succeeded", restored.error
    return directory, target


async def test_dumps_of_postgresql_are_taken_drilled_and_restored(fresh_postgres: PostgresServer, lab_site: Site) -> None:
    async with await fresh_postgres.connect() as connection:
        await connection.execute("CREATE DATABASE shop")
    async with await fresh_postgres.connect(database="shop") as connection:
        await connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 100) AS id")
    directory, target = await prove(fresh_postgres, lab_site, "postgresql", "shop", "SELECT count(*) AS n FROM public.orders")
    try:
        assert (target / "PG_VERSION").is_file()
        assert not (target / "dbre-dump").exists()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def test_dumps_of_mariadb_are_taken_drilled_and_restored(mariadb: MariaDbServer, lab_site: Site) -> None:
    directory, target = await prove(mariadb, lab_site, "mysql", "mysql", "SELECT COUNT(*) AS n FROM help_topic")
    try:
        assert (target / "ibdata1").is_file()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
