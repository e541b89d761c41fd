"""Log files handed over by a server's own archiving: the client, the daemon, and their exit codes."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from log_plane import CLUSTER, Plane, plane, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.archive_client import write_client
from dbre.capabilities.backup.log.keeper import archive_socket
from dbre.capabilities.backup.model import LogState
from dbre.core.errors import UsageError
from dbre.core.events import recent
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.model import LogKind


@asynccontextmanager
async def archiving(directory: Path, server: PostgresServer) -> AsyncIterator[tuple[Plane, Path]]:
    """A keeper that takes files, and the client that hands them over."""
    async with plane(directory, [server], cache=server.site.cache, mode="archive") as one, one.keeping():
        client = directory / "dbre-archive"
        write_client(client, CLUSTER, archive_socket(one.ground))

        async def is_ready() -> bool:
            probe = directory / "00000001.history"  # of no interest: a label is taken, and not kept
            label = probe.with_name("000000010000000000000003.00000028.backup")
            label.write_text("label")
            code, _ = await hand_over(client, label, server.site)
            return code == 0

        await until(is_ready, "the daemon takes files")
        yield one, client


async def hand_over(client: Path, file: Path, site: Site, *, user: int | None = None) -> tuple[int, str]:
    """Run the client as the servers' account, or as somebody else."""
    account = site.account
    credentials = (
        {"user": account.uid if user is None else user, "group": account.gid, "extra_groups": []} if account.switch else {}
    )
    process = await asyncio.create_subprocess_exec(
        str(client), str(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, cwd="/", **credentials
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def segment_of(server: PostgresServer, into: Path) -> Path:
    """A finished segment of the server."""
    async with await server.connect() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS something (id int)")
        await connection.execute("INSERT INTO something VALUES (1)")  # else there is nothing to end
        row = await (await connection.execute("SELECT pg_walfile_name(pg_switch_wal())")).fetchone()
    assert row is not None
    copy = into / row[0]
    copy.write_bytes((server.data_directory / "pg_wal" / row[0]).read_bytes())
    copy.chmod(0o644)
    return copy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def archive(postgres18: PostgresServer) -> AsyncIterator[tuple[Plane, Path]]:
    """A keeper and a client for tests that leave nothing in the log."""
    site = postgres18.site
    directory = Path(tempfile.mkdtemp(prefix="log-archive-", dir=site.directory))
    directory.chmod(0o711)
    async with archiving(directory, postgres18) as made:
        yield made
    shutil.rmtree(directory, ignore_errors=True)


async def kinds(one: Plane) -> Sequence[str]:
    async with one.store.read() as connection:
        return [event.kind for event in await recent(connection, limit=200)]


async def test_a_server_archives_with_the_client(fresh_postgres: PostgresServer, workplace: Path) -> None:
    server = fresh_postgres
    async with archiving(workplace, server) as (one, client):
        async with await server.connect() as connection:
            await connection.execute("ALTER SYSTEM SET archive_mode = 'on'")
            await connection.execute(f"""ALTER SYSTEM SET archive_command = '"{client}" "%p"'""")
        await server.stop()
        await server.start()

        async def stored() -> bool:
            async with await server.connect() as connection:
                await connection.execute("CREATE TABLE IF NOT EXISTS ledger (id bigint)")
                await connection.execute("INSERT INTO ledger SELECT generate_series(1, 1000)")
                await connection.execute("SELECT pg_switch_wal()")
            logs = (await load_catalog(one.store, CLUSTER)).logs
            return any(log.state is LogState.VERIFIED and log.vaults == ("cellar",) for log in logs)

        await until(stored, "an archived segment is in the vault, and read")
        async with await server.connect() as connection:
            row = await (await connection.execute("SELECT failed_count FROM pg_stat_archiver")).fetchone()
        assert row == (0,)


async def test_the_same_file_again_is_nothing_and_another_under_its_name_is_a_conflict(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    async with archiving(workplace, server) as (one, client):
        segment = await segment_of(server, workplace)
        assert (await hand_over(client, segment, server.site))[0] == 0
        assert (await hand_over(client, segment, server.site))[0] == 0
        data = bytearray(segment.read_bytes())
        data[8192 + 100] ^= 1
        segment.write_bytes(data)
        code, message = await hand_over(client, segment, server.site)
        assert code == 1
        assert "other contents" in message
        assert "backup.log_conflict" in await kinds(one)
        logs = [log for log in (await load_catalog(one.store, CLUSTER)).logs if log.file.kind is LogKind.SEGMENT]
        assert {log.file.name for log in logs} <= {segment.name}


async def test_log_of_another_system_is_never_taken(
    archive: tuple[Plane, Path], postgres15: PostgresServer, workplace: Path
) -> None:
    foreign = await segment_of(postgres15, workplace)
    code, message = await hand_over(archive[1], foreign, postgres15.site)
    assert code == 1
    assert "a copy of the server archives" in message or "is of system" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("000000010000000000000009", b""),
        ("000000010000000000000009", b"no segment" * 1000),
        ("something else", b"x" * 100),
        (".hidden", b"x" * 100),
    ],
    ids=["empty", "garbage", "odd-name", "hidden"],
)
async def test_what_is_no_log_file_is_refused_and_the_server_keeps_it(
    archive: tuple[Plane, Path], lab_site: Site, workplace: Path, name: str, content: bytes
) -> None:
    path = workplace / name
    path.write_bytes(content)
    code, message = await hand_over(archive[1], path, lab_site)
    assert code == 75
    assert message.startswith("dbre-archive: ")


async def test_without_a_daemon_the_client_fails_below_the_codes_of_signals(workplace: Path, lab_site: Site) -> None:
    client, file = workplace / "dbre-archive", workplace / "000000010000000000000003"
    write_client(client, CLUSTER, workplace / "nobody.sock")
    file.write_bytes(b"x")
    code, message = await hand_over(client, file, lab_site)
    assert code == 75
    assert "No such file" in message


async def test_a_truncated_greeting_leaves_the_daemon_at_work(
    archive: tuple[Plane, Path], postgres18: PostgresServer, workplace: Path
) -> None:
    one, client = archive
    for rubbish in (
        b"",
        b"\n",
        b"[]\n",
        b'{"cluster": 1}\n',
        b"x" * 10_000,
        b'{"cluster":"orders","name":"a","size":9}\nxx',
    ):
        with socket.socket(socket.AF_UNIX) as peer:
            await asyncio.to_thread(peer.connect, str(archive_socket(one.ground)))
            await asyncio.to_thread(peer.sendall, rubbish)
    segment = await segment_of(postgres18, workplace)
    assert (await hand_over(client, segment, postgres18.site))[0] == 0
    spool = next((one.ground.directory / "spool" / CLUSTER).iterdir())

    async def is_clean() -> bool:
        return not [path for path in spool.iterdir() if path.name.startswith(".incoming")]

    await until(is_clean, "nothing half received is left")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as somebody else")
async def test_other_users_hand_over_nothing(archive: tuple[Plane, Path], postgres18: PostgresServer, workplace: Path) -> None:
    one, client = archive
    segment = await segment_of(postgres18, workplace)
    archive_socket(one.ground).chmod(0o666)  # even then
    code, message = await hand_over(client, segment, postgres18.site, user=12345)
    assert code == 75
    assert "may not hand over" in message


def test_the_client_is_never_written_over_another_program(tmp_path: Path) -> None:
    path = tmp_path / "dbre-archive"
    path.write_text("#!/bin/sh\nrm -rf /\n")
    with pytest.raises(UsageError, match="is no archive client of dbre"):
        write_client(path, CLUSTER, tmp_path / "archive.sock")
    assert path.read_text().startswith("#!/bin/sh")


def test_the_client_holds_names_as_text_and_not_as_code(tmp_path: Path) -> None:
    path = tmp_path / "client"
    write_client(path, "x'); import os; os.abort(); ('", tmp_path / "a'b.sock")
    done = subprocess.run([str(path)], capture_output=True, text=True, check=False, env={})
    assert (done.returncode, done.stderr) == (75, f"usage: {path} FILE\n")
    assert path.stat().st_mode & 0o777 == 0o755
    write_client(path, CLUSTER, tmp_path / "archive.sock")  # over an older one of ours
