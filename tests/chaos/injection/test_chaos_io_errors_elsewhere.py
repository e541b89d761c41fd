"""A broken device under MariaDB: reads of a table's file fail, clients are told, and the table is whole afterwards."""

from pathlib import Path

import asyncmy
import pytest
from server_faults_kit import administrator, come_and_go, execute

from dbre.core.errors import Unsupported
from dbre.lab.mariadb import MariaDbServer, find_mariadb
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

pytestmark = [pytest.mark.slow, pytest.mark.soak]
_ROWS = 1000
_SETTINGS = {
    "innodb-use-native-aio": "OFF",  # else the kernel reads, and the library does not see it
    "innodb-buffer-pool-load-at-startup": "OFF",  # else the table is in memory before the fault is on
}


@pytest.mark.parametrize("end", ["injector", "runner"])
async def test_a_table_of_mariadb_cannot_be_read(lab_site: Site, tmp_path: Path, end: str) -> None:
    try:
        program = find_mariadb(account=lab_site.account)
    except Unsupported as error:
        leave_out(error)
    server = MariaDbServer(f"chaos-io-mariadb-{end}", lab_site, program=program, settings=_SETTINGS)
    said: list[str] = []
    async with running(server):
        async with administrator(server) as admin:
            await execute(admin, "CREATE TABLE lab.cold (n int PRIMARY KEY) ENGINE=InnoDB")
            await execute(admin, f"INSERT INTO lab.cold SELECT seq FROM lab.seq_1_to_{_ROWS}")
            await execute(admin, "CREATE TABLE lab.warm (n int PRIMARY KEY) ENGINE=InnoDB")

        async def is_broken() -> bool:
            async with administrator(server) as admin:
                await execute(admin, "SELECT count(*) FROM lab.warm")  # other tables are read
                try:
                    found = await execute(admin, "SELECT count(*) FROM lab.cold")
                except asyncmy.errors.Error as error:
                    said.append(str(error))
                    return True
            assert found == ((_ROWS,),)
            return False

        under = str(server.data_directory.resolve() / "lab" / "cold.ibd")
        given = {"calls": "read", "error": "EIO", "under": under, "restarts": True}
        await come_and_go(server, {"io-fault": (given, is_broken)}, tmp_path, end)
        log = server.log_file.read_text(errors="replace")
    assert "Got error 194" in said[0]  # the table cannot be opened
    assert "Cannot read first page in datafile: ./lab/cold.ibd" in log
