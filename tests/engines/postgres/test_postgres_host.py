"""The process of a PostgreSQL server: stopped, killed, barred from being a primary, started as what it is."""

import os
import signal
import stat
from pathlib import Path

import pytest

from dbre.core.control import Control, ControlKind
from dbre.core.errors import Unsupported
from dbre.core.fleet import Address, Instance
from dbre.core.programs.errors import ProgramFailed
from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.host import PostgresHost
from dbre.lab.postgres import PostgresServer
from dbre.ports.session import Role
from dbre.ports.succession import Following, Manner, NoControl, NotDone, StopMode

FOLLOWING = Following(
    upstream=Address("127.0.0.1", 1),
    name="pg1",
    like=Manner(text=Secret("host=x user=replicator password='it\\'s' target_session_attrs=primary"), slot=None),
    slot="dbre_pg1",
)


def host_of(server: PostgresServer, **control: object) -> PostgresHost:
    given = {"kind": ControlKind.PG_CTL, "data_directory": server.data_directory, **control}
    instance = Instance(name="pg1", cluster="c", address=server.address, control=Control(**given))  # type: ignore[arg-type]
    return PostgresEngine().host(instance)


async def test_it_is_stopped_in_order_and_started_with_its_last_options(fresh_postgres: PostgresServer) -> None:
    host = host_of(fresh_postgres)
    before = await host.state()
    assert before.is_answering
    assert len(before.processes) > 3
    async with await fresh_postgres.connect() as connection:
        await connection.execute("CREATE TABLE t AS SELECT 1")
        row = await (await connection.execute("SELECT pg_current_wal_lsn() - '0/0'")).fetchone()
    assert row is not None
    with pytest.raises(NotDone, match="was not stopped in order: pg_controldata says in production"):
        await host.last_position()

    stopped = await host.stop(limit_seconds=60)
    assert stopped.is_gone
    assert (await host.stop(limit_seconds=60)).is_gone  # done already is done
    position = await host.last_position()
    assert position.offset is not None
    assert position.offset > row[0]

    await host.start(limit_seconds=60)
    assert (await host.state()).is_answering
    async with await fresh_postgres.connect() as connection:  # on the same port, which only the last options told
        assert await (await connection.execute("SELECT count(*) FROM t")).fetchone() == (1,)
    main = fresh_postgres.pid
    await host.start(limit_seconds=60)
    assert fresh_postgres.pid == main


@pytest.mark.parametrize("how", ["at_once", "kill"])
async def test_no_process_is_left_and_the_next_start_recovers(fresh_postgres: PostgresServer, how: str) -> None:
    host = host_of(fresh_postgres)
    async with await fresh_postgres.connect() as connection:
        await connection.execute("CREATE TABLE t AS SELECT 1")
    if how == "kill":
        for pid in (await host.state()).processes:
            os.kill(pid, signal.SIGSTOP)  # a frozen server obeys no other signal
        state = await host.kill(limit_seconds=60)
    else:
        state = await host.stop(StopMode.AT_ONCE, limit_seconds=60)
    assert state.is_gone
    assert not fresh_postgres.processes()
    with pytest.raises(NotDone, match="not stopped in order"):
        await host.last_position()
    await host.start(limit_seconds=60)
    async with await fresh_postgres.connect() as connection:
        assert await (await connection.execute("SELECT count(*) FROM t")).fetchone() == (1,)


async def test_a_barred_server_starts_as_a_standby_whoever_starts_it(fresh_postgres: PostgresServer) -> None:
    host, auto = host_of(fresh_postgres), fresh_postgres.data_directory / "postgresql.auto.conf"
    async with await fresh_postgres.connect() as connection:
        await connection.execute("ALTER SYSTEM SET work_mem = '5MB'")
        await connection.execute("ALTER SYSTEM SET recovery_target_time = '2020-01-01 00:00:00+00'")
    await host.stop(limit_seconds=60)
    for _ in range(2):
        await host.bar(FOLLOWING)
    text = auto.read_text()
    assert "work_mem = '5MB'" in text
    assert "recovery_target" not in text  # left from an earlier recovery it would stop replay
    assert text.count("primary_conninfo") == 1
    assert stat.S_IMODE(auto.stat().st_mode) == 0o600
    assert auto.stat().st_uid == fresh_postgres.data_directory.stat().st_uid

    await host.start(limit_seconds=60)
    async with await fresh_postgres.connect() as connection:
        cursor = await connection.execute(
            "SELECT pg_is_in_recovery(), current_setting('primary_conninfo'), current_setting('work_mem')"
        )
        row = await cursor.fetchone()
    assert row == (True, "user=replicator password=it\\'s host=127.0.0.1 port=1 application_name=pg1", "5MB")

    await host.stop(limit_seconds=60)
    await host.unbar()
    await host.start(limit_seconds=60)
    assert await fresh_postgres.role() is Role.PRIMARY


async def test_what_it_cannot_do_it_says(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    with pytest.raises(NoControl, match="does not say how pg1 is started and stopped"):
        PostgresEngine().host(Instance(name="pg1", cluster="c", address=fresh_postgres.address))
    with pytest.raises(NoControl, match="is not on this machine"):
        await host_of(fresh_postgres, data_directory=tmp_path / "elsewhere").stop(limit_seconds=5)
    unseen = host_of(fresh_postgres, kind=ControlKind.COMMANDS, data_directory=None, start=("/bin/true",), stop=("/bin/false",))
    assert not (await unseen.state()).is_gone
    assert not (await unseen.state()).is_seen
    with pytest.raises(NoControl, match="its processes cannot be seen"):
        await unseen.kill(limit_seconds=5)
    with pytest.raises(ProgramFailed, match="ended with 1"):
        await unseen.stop(limit_seconds=5)
    with pytest.raises(NoControl, match="nobody knows as whom"):
        await host_of(fresh_postgres).bar(Following(upstream=fresh_postgres.address, name="pg1"))
    with pytest.raises(Unsupported, match="cannot be closed to writes for certain"):
        await PostgresEngine().connect(fresh_postgres.access()).succession.close_to_writes(limit_seconds=5)


async def test_a_server_that_cannot_start_says_why(fresh_postgres: PostgresServer) -> None:
    host = host_of(fresh_postgres)
    await host.stop(limit_seconds=60)
    (fresh_postgres.data_directory / "postgresql.auto.conf").write_text("no_such_parameter = 1\n")
    with pytest.raises(ProgramFailed, match="could not start server"):
        await host.start(limit_seconds=60)
