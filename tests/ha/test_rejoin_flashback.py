"""What only an old MariaDB primary has, taken back by hand with MariaDB's own program, as the docs say."""

import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which

import pytest
from rejoin_kit import results
from switchover_kit import until
from test_rejoin_pairs import has, rejoiner, rows_of, take_over
from test_switchover_pairs import execute

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def called(server: MariaDbServer, program: str, *words: str, given: str | None = None) -> str:
    """Run one of MariaDB's programs as root of the server; the password goes by the environment."""
    found = which(program)
    assert found is not None
    where = (f"--host={server.address.host}", f"--port={server.address.port}", "--user=root", "--protocol=tcp")
    done = subprocess.run(
        [found, "--no-defaults", *where, *words],
        input=given,
        env={**os.environ, "MYSQL_PWD": server.password.reveal()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


async def checksum(server: MariaDbServer) -> str:
    ((_, found),) = await execute(server, "CHECKSUM TABLE lab.ledger")
    return str(found)


async def variable(server: MariaDbServer, name: str) -> str:
    ((value,),) = await execute(server, f"SELECT @@GLOBAL.{name}")
    return str(value)


async def test_row_events_are_taken_back_and_it_follows_without_a_copy(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        running(MariaDbServer("rj-f1", lab_site, program=mariadb.program)) as old,
        running(MariaDbServer("rj-f2", lab_site, program=mariadb.program, replica_of=old)) as new,
    ):
        login = {"replication_user": REPLICATION_USER, "replication_password": old.password}
        walker = rejoiner(store, "mysql", {"n1": old, "n2": new}, tmp_path, lab_site, **login)
        await execute(old, "SET GLOBAL binlog_format = ROW")
        await execute(old, "CREATE TABLE lab.ledger (entry VARCHAR(20))")
        await execute(old, "INSERT INTO lab.ledger VALUES ('before'), ('gone')")
        await until(lambda: has(new, "gone"))
        await take_over(new)
        await execute(new, "INSERT INTO lab.ledger VALUES ('after')")
        await execute(old, "INSERT INTO lab.ledger VALUES ('lost')", "FLUSH BINARY LOGS")
        await execute(old, "UPDATE lab.ledger SET entry = 'other' WHERE entry IN ('before', 'lost')")
        await execute(old, "DELETE FROM lab.ledger WHERE entry = 'gone'", "SET GLOBAL read_only = ON")
        with pytest.raises(PrecheckFailed, match=r"n1 has what n2 does not.* transactions 3 to 5"):
            await walker.plan("n1")

        fork = await variable(new, "gtid_slave_pos")
        *_, (first, *_), (second, *_) = await execute(old, "SHOW BINARY LOGS")
        remote = "--read-from-remote-server"
        parts = [(str(second),), (f"--start-position={fork}", str(first))]  # the newest first
        shown = [called(old, "mariadb-binlog", remote, "--base64-output=decode-rows", *words) for words in parts]
        told = [re.findall(r"\tGTID \d+-\d+-(\d+) (.*)", text) for text in shown]
        assert told == [[("4", "trans"), ("5", "trans")], [("3", "trans")]]
        for words in parts:
            back = called(old, "mariadb-binlog", "--flashback", remote, *words)
            called(old, "mariadb", given="SET SESSION sql_log_bin = OFF;\n" + back)
        assert await rows_of(old) == ["before", "gone"]
        await execute(old, "RESET MASTER", f"SET GLOBAL gtid_slave_pos = '{fork}'", f"SET GLOBAL gtid_binlog_state = '{fork}'")

        record = await walker.rejoin("n1")
        assert record.state is OperationState.SUCCEEDED, record.error
        assert results(record)["compare"]["lost"] == []

        async def follows() -> bool:
            return await rows_of(old) == ["after", "before", "gone"]

        await until(follows)
        assert await checksum(old) == await checksum(new)
