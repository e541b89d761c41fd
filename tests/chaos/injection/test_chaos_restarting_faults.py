"""Faults for which the injector starts the server anew: a wrong clock, writes that fail, an fsync that takes its time."""

import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from injection_kit import SMALL, order_on
from server_faults_kit import ENDS, come_and_go, failure_of

from dbre.capabilities.chaos.injection.restarting import how_it_was_started
from dbre.core.errors import PrecheckFailed, Unsupported
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarted(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """A server of its own: who starts it anew becomes its parent, and who reaps it after that is the machine's affair."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    except Unsupported as error:
        leave_out(error)
    async with running(PostgresServer("chaos-restarted", lab_site, binaries=binaries, settings=SMALL)) as server:
        yield server


def need_faketime() -> None:
    """Leave the test out where the library is not installed."""
    if not any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
        leave_out(Unsupported("libfaketime is not installed", hint="apt-get install libfaketime"))


@ENDS
async def test_a_clock_is_wrong_and_right_again(restarted: PostgresServer, tmp_path: Path, end: str) -> None:
    need_faketime()

    async def is_wrong() -> bool:
        async with await restarted.connect() as admin:
            row = await (await admin.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None
        return bool(row[0] < datetime.now(UTC) - timedelta(minutes=50))

    names = restarted.data_directory / "names_of_library"
    async with await restarted.connect() as admin:  # a child of the server, which the library is loaded into as well
        await admin.execute(f"ALTER SYSTEM SET archive_command = 'echo $FAKETIME_SHARED >> {names.name}'")
        await admin.execute("SELECT pg_reload_conf()")
    try:
        await come_and_go(restarted, {"clock-skew": ({"behind": "1h", "restarts": True}, is_wrong)}, tmp_path, end)
    finally:
        async with await restarted.connect() as admin:
            await admin.execute("ALTER SYSTEM RESET archive_command")
            await admin.execute("SELECT pg_reload_conf()")
    made = [one.lstrip("/") for one in names.read_text().split()]
    assert made, "nothing was archived while the clock was wrong"
    memory = Path("/dev/shm")
    assert not [one for one in made if memory.joinpath(one).exists() or memory.joinpath(f"sem.{one}").exists()]
    names.unlink()
    before = restarted.log_file.stat().st_size
    async with await restarted.connect() as admin:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await admin.execute("SELECT 1/0")
    assert restarted.log_file.stat().st_size > before, "the server's log was lost on the way"
    refused = await failure_of(order_on(restarted, "clock-skew", tmp_path, ahead="1m"))
    assert "started twice, which was not agreed" in refused


def need_compiler() -> None:
    """Leave the test out where no library can be made."""
    if shutil.which("cc") is None:
        leave_out(Unsupported("there is no C compiler", hint="apt-get install gcc libc6-dev"))


@ENDS
async def test_writes_find_no_room(restarted: PostgresServer, tmp_path: Path, end: str) -> None:
    need_compiler()

    async def is_full() -> bool:
        async with await restarted.connect() as admin:
            try:
                await admin.execute("CREATE TABLE heavy AS SELECT n, repeat('x', 100) FROM generate_series(1, 1000) AS n")
            except psycopg.errors.DiskFull:
                return True
            await admin.execute("DROP TABLE heavy")
        return False

    base = str(restarted.data_directory.resolve() / "base")
    given = {"calls": "write", "error": "ENOSPC", "under": base, "restarts": True}
    await come_and_go(restarted, {"io-fault": (given, is_full)}, tmp_path, end)
    assert not list(Path("/tmp").glob("dbre-chaos-*/io_faults.so"))
    assert "needs error or delay" in await failure_of(order_on(restarted, "io-fault", tmp_path, restarts=True))


@ENDS
async def test_a_slow_fsync_delays_commits(restarted: PostgresServer, tmp_path: Path, end: str) -> None:
    need_compiler()
    async with await restarted.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS slow (n int)")
        await admin.execute("ALTER SYSTEM SET fsync = on")  # the lab's servers do without
        await admin.execute("SELECT pg_reload_conf()")

    async def is_slow() -> bool:
        async with await restarted.connect() as admin:
            began = time.monotonic()
            await admin.execute("INSERT INTO slow VALUES (1)")
            return time.monotonic() - began >= 1.0

    try:
        given = {"calls": "fsync", "delay": "1s", "under": str(restarted.data_directory.resolve()), "restarts": True}
        await come_and_go(restarted, {"io-fault": (given, is_slow)}, tmp_path, end)
    finally:
        async with await restarted.connect() as admin:
            await admin.execute("ALTER SYSTEM RESET fsync")
            await admin.execute("SELECT pg_reload_conf()")


def test_a_server_that_would_not_start_again_is_left_alone(tmp_path: Path) -> None:
    present = tmp_path / "present.conf"
    present.touch()
    words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)", f"--config={present}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            assert how_it_was_started(process.pid)["words"] == words
            present.unlink()
            with pytest.raises(PrecheckFailed, match=r"present\.conf, which is not there any more"):
                how_it_was_started(process.pid)
        finally:
            process.kill()
