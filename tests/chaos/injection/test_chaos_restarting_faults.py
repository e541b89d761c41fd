"""Faults for which the injector starts the server anew: a wrong clock, writes that fail, an fsync that takes its time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from injection_kit import order_on
from server_faults_kit import come_and_go, failure_of

from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import leave_out

pytestmark = pytest.mark.slow


def need_faketime() -> None:
    """Leave the test out where the library is not installed."""
    if not any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
        leave_out("libfaketime is not installed; apt-get install libfaketime")


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
