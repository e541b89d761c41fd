"""Faults for which the injector starts the server anew: a wrong clock, writes that fail, an fsync that takes its time."""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from injection_kit import order_on
from server_faults_kit import come_and_go, failure_of

from dbre.core.errors import Unsupported
from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import leave_out

pytestmark = pytest.mark.slow


def need_faketime() -> None:
    """Leave the test out where the library is not installed."""
    if not any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
        leave_out(Unsupported("libfaketime is not installed", hint="apt-get install libfaketime"))


async def test_a_clock_is_wrong_and_right_again(small_postgres: PostgresServer, tmp_path: Path) -> None:
    need_faketime()

    async def is_wrong() -> bool:
        async with await small_postgres.connect() as admin:
            row = await (await admin.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None
        return bool(row[0] < datetime.now(UTC) - timedelta(minutes=50))

    await come_and_go(small_postgres, {"clock-skew": ({"behind": "1h", "restarts": True}, is_wrong)}, tmp_path)
    refused = await failure_of(order_on(small_postgres, "clock-skew", tmp_path, ahead="1m"))
    assert "started twice, which was not agreed" in refused


def need_compiler() -> None:
    """Leave the test out where no library can be made."""
    if shutil.which("cc") is None:
        leave_out(Unsupported("there is no C compiler", hint="apt-get install gcc libc6-dev"))


async def test_writes_find_no_room(small_postgres: PostgresServer, tmp_path: Path) -> None:
    need_compiler()

    async def is_full() -> bool:
        async with await small_postgres.connect() as admin:
            try:
                await admin.execute("CREATE TABLE heavy AS SELECT n, repeat('x', 100) FROM generate_series(1, 1000) AS n")
            except psycopg.errors.DiskFull:
                return True
            await admin.execute("DROP TABLE heavy")
        return False

    base = str(small_postgres.data_directory.resolve() / "base")
    given = {"calls": "write", "error": "ENOSPC", "under": base, "restarts": True}
    await come_and_go(small_postgres, {"io-fault": (given, is_full)}, tmp_path)
    assert not list(Path("/tmp").glob("dbre-chaos-*/io_faults.so"))
    assert "needs error or delay" in await failure_of(order_on(small_postgres, "io-fault", tmp_path, restarts=True))


async def test_a_slow_fsync_delays_commits(small_postgres: PostgresServer, tmp_path: Path) -> None:
    need_compiler()
    async with await small_postgres.connect() as admin:
        await admin.execute("CREATE TABLE IF NOT EXISTS slow (n int)")
        await admin.execute("ALTER SYSTEM SET fsync = on")  # the lab's servers do without
        await admin.execute("SELECT pg_reload_conf()")

    async def is_slow() -> bool:
        async with await small_postgres.connect() as admin:
            began = time.monotonic()
            await admin.execute("INSERT INTO slow VALUES (1)")
            return time.monotonic() - began >= 1.0

    try:
        given = {"calls": "fsync", "delay": "1s", "under": str(small_postgres.data_directory.resolve()), "restarts": True}
        await come_and_go(small_postgres, {"io-fault": (given, is_slow)}, tmp_path)
    finally:
        async with await small_postgres.connect() as admin:
            await admin.execute("ALTER SYSTEM RESET fsync")
            await admin.execute("SELECT pg_reload_conf()")
