"""A throw-away PostgreSQL server does what a real one does when it is killed, frozen and started again."""

import asyncio
import os
import re
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbre.core.fleet import Address
from dbre.lab.errors import PortTaken, ServerFailed
from dbre.lab.free_port import LOOPBACK, choose_port
from dbre.lab.postgres import PostgresServer
from dbre.lab.processes import Process
from dbre.lab.site import Site, run_program
from dbre.testing.fixtures import PostgresPair

is_root = os.geteuid() == 0


@pytest.fixture
def site(lab_site: Site, open_directory: Path) -> Site:
    return replace(lab_site, directory=open_directory)


def read(path: str) -> str:
    return Path(path).read_text()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 10 s")


async def count(server: PostgresServer, table: str = "public.kept") -> int:
    async with await server.connect() as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_killed_server_keeps_what_it_acknowledged_and_returns_to_its_port(fresh_postgres: PostgresServer) -> None:
    address = fresh_postgres.address
    async with await fresh_postgres.connect() as connection:
        await connection.execute("CREATE TABLE public.kept AS SELECT generate_series(1, 1000)")
        await fresh_postgres.kill()
        assert not fresh_postgres.is_running
        assert fresh_postgres.processes() == []
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((address.host, address.port), timeout=5):
        pass
    await fresh_postgres.start()
    assert fresh_postgres.address == address
    assert await count(fresh_postgres) == 1000


async def test_a_frozen_server_answers_nobody_and_goes_on_when_thawed(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as established:
        await fresh_postgres.freeze()
        assert fresh_postgres.is_frozen
        assert all(process.is_stopped for process in fresh_postgres.processes())
        waiting = asyncio.create_task(established.execute("SELECT 7"))
        newcomer = asyncio.create_task(fresh_postgres.connect())
        done, _ = await asyncio.wait([waiting, newcomer], timeout=0.7)
        assert not done
        await fresh_postgres.thaw()
        assert not fresh_postgres.is_frozen
        async with asyncio.timeout(10):
            assert await (await waiting).fetchone() == (7,)
            await (await newcomer).close()


@pytest.mark.parametrize("act", ["stop", "kill", "destroy"])
async def test_a_frozen_server_can_be_ended(act: str, site: Site, postgres18: PostgresServer) -> None:
    server = PostgresServer("frozen", site, binaries=postgres18.binaries)
    await server.start()
    await server.freeze()
    async with asyncio.timeout(15):
        await getattr(server, act)()
    assert not server.is_running
    assert server.processes() == []
    await server.destroy()


async def test_children_that_a_killed_postmaster_leaves_do_not_prevent_the_next_start(fresh_postgres: PostgresServer) -> None:
    await fresh_postgres.freeze()  # frozen children cannot see that their parent is gone
    pid = fresh_postgres.pid
    assert pid is not None
    os.kill(pid, 9)
    await until(lambda: not fresh_postgres.is_running)
    assert fresh_postgres.processes()
    await fresh_postgres.start()
    async with await fresh_postgres.connect() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_another_object_for_the_same_directory_finds_the_running_server(fresh_postgres: PostgresServer) -> None:
    same = PostgresServer(fresh_postgres.name, fresh_postgres.site, binaries=fresh_postgres.binaries)
    assert same.address == fresh_postgres.address
    assert same.pid == fresh_postgres.pid
    await same.stop()
    assert not fresh_postgres.is_running


async def test_a_lost_race_for_the_port_ends_with_another_port(
    site: Site, postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody binds between our look and the server's: the check is made blind, so that the server itself meets the port."""
    with socket.create_server((LOOPBACK, 0)) as squatter:
        taken = squatter.getsockname()[1]
        choices = iter([taken, taken])
        monkeypatch.setattr("dbre.lab.network.host.choose_port", lambda _: next(choices, None) or choose_port())
        monkeypatch.setattr("dbre.lab.network.host.is_free", lambda *_: True)
        server = PostgresServer("raced", site, binaries=postgres18.binaries)
        await server.start()
        assert server.address.port != taken
        assert server.log_file.read_text().count("could not create any TCP/IP sockets") == 2
        await server.destroy()


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(site: Site, postgres18: PostgresServer) -> None:
    with socket.create_server((LOOPBACK, 0)) as squatter:
        port = squatter.getsockname()[1]
        server = PostgresServer("refused", site, binaries=postgres18.binaries, port=port)
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken") as caught:
            await server.start()
        assert caught.value.hint is not None
        assert str(port) in caught.value.hint
    await server.start()
    assert server.address == Address(LOOPBACK, port)
    async with await server.connect() as connection:  # the failed start left nothing half-done
        assert connection.info.port == port
    await server.destroy()


async def test_a_server_that_does_not_start_shows_the_end_of_its_log(site: Site, postgres18: PostgresServer) -> None:
    server = PostgresServer("wrong", site, binaries=postgres18.binaries, settings={"shared_buffers": "all of it"})
    with pytest.raises(ServerFailed, match=r"invalid value for parameter .shared_buffers."):
        await server.start()
    assert server.processes() == []
    await server.destroy()


async def test_secrets_are_readable_by_their_owner_only_and_no_clear_password_is_logged(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as connection:
        await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
    assert mode(fresh_postgres.directory / "password") == 0o600
    assert mode(fresh_postgres.data_directory) == 0o700
    assert fresh_postgres.password.reveal() not in fresh_postgres.log_file.read_text()
    assert fresh_postgres.password.reveal() not in read(f"/proc/{fresh_postgres.pid}/cmdline")


async def test_a_wrong_password_is_refused(fresh_postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(fresh_postgres.conninfo() + " password=guess")


@pytest.mark.skipif(not is_root, reason="only root changes the account")
async def test_root_hands_servers_to_an_account_without_its_groups(fresh_postgres: PostgresServer) -> None:
    status = read(f"/proc/{fresh_postgres.pid}/status")
    assert fresh_postgres.site.account.uid != 0
    for field in ("Uid", "Gid"):
        ids = re.search(rf"^{field}:\t(.*)$", status, re.MULTILINE)
        assert ids is not None
        assert "0" not in ids[1].split("\t")
    groups = re.search(r"^Groups:\t(.*)$", status, re.MULTILINE)
    assert groups is not None
    assert groups[1].strip() == ""


async def test_two_clusters_from_one_template_are_not_the_same_system(
    fresh_postgres: PostgresServer, postgres18: PostgresServer, postgres_pair: PostgresPair
) -> None:
    async def identifier(server: PostgresServer) -> int:
        async with await server.connect() as connection:
            row = await (await connection.execute("SELECT system_identifier FROM pg_control_system()")).fetchone()
        assert row is not None
        return int(row[0])

    assert await identifier(fresh_postgres) != await identifier(postgres18)
    assert await identifier(postgres_pair.primary) == await identifier(postgres_pair.replica)


async def test_a_replica_returns_to_a_primary_that_was_killed(postgres_pair: PostgresPair) -> None:
    await postgres_pair.primary.kill()
    await postgres_pair.primary.start()
    await postgres_pair.replica.wait_streaming()
    async with await postgres_pair.primary.connect() as connection:
        await connection.execute("CREATE TABLE public.kept AS SELECT 1 AS one")
        row = await (await connection.execute("SELECT active FROM pg_replication_slots")).fetchone()
        assert row == (True,)
        lsn = await (await connection.execute("SELECT pg_current_wal_lsn()::text")).fetchone()
    async with await postgres_pair.replica.connect() as connection:
        for _ in range(1000):
            done = await (await connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)).fetchone()
            if done == (True,):
                break
            await asyncio.sleep(0.02)
    assert await count(postgres_pair.replica) == 1


async def test_nothing_is_left_of_a_destroyed_server(site: Site, postgres18: PostgresServer) -> None:
    server = PostgresServer("gone", site, binaries=postgres18.binaries)
    await server.start()
    pids = {process.pid for process in server.processes()}
    creator = server.pid
    await server.destroy()
    assert not server.directory.exists()
    assert not any((one := Process.read(pid)) is not None and one.is_alive for pid in pids)
    rows = [line.split() for line in read("/proc/sysvipc/shm").splitlines()[1:]]
    assert creator not in {int(row[4]) for row in rows}


async def test_a_program_that_is_cancelled_does_not_go_on(site: Site, open_directory: Path) -> None:
    running = asyncio.create_task(run_program(["sh", "-c", "sleep 60 & wait"], account=site.account, directory=open_directory))
    await asyncio.sleep(0.3)
    assert "sleep" in processes_in(open_directory)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_in(open_directory) == []


async def test_a_program_that_takes_too_long_is_ended_and_what_it_said_is_shown(site: Site, open_directory: Path) -> None:
    with pytest.raises(ServerFailed, match=r"sh did not end within 1 s\nnot yet"):
        await run_program(
            ["sh", "-c", "echo not yet; sleep 60"], account=site.account, directory=open_directory, timeout_seconds=1
        )
    async with asyncio.timeout(10):
        while processes_in(open_directory):  # noqa: ASYNC110 - killed, and the kernel takes its time on a busy machine
            await asyncio.sleep(0.05)


def processes_in(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == directory.resolve():
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue
    return found
