"""One control plane a store, whoever dies and however."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from dbre.core.errors import ExitCode
from dbre.core.store.errors import ControlPlaneLockLost, ControlPlaneRunning
from dbre.core.store.status import inspect_store
from dbre.lab.postgres import PostgresServer

HOLDER = """
import asyncio, sys
from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import open_store

async def main():
    async with open_store(sys.argv[1], clock=SystemClock(), exclusive=True, password=Secret(sys.argv[2])):
        print("held", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def _other_control_plane(place) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, place.url, place.password.reveal() if place.password else "-",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"held\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_second_control_plane_is_refused_and_the_first_is_named(place) -> None:
    async with place.open(exclusive=True, migrate=True):
        with pytest.raises(ControlPlaneRunning, match="another control plane") as caught:
            async with place.open(exclusive=True, migrate=True):
                pass
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert (f"process {os.getpid()}" if place.path else "backend ") in caught.value.message
    async with place.open(exclusive=True):  # and free again once the first has gone
        pass


async def test_readers_and_writers_work_beside_a_control_plane(place) -> None:
    async with place.open(exclusive=True, migrate=True), place.open() as beside:
        async with beside.read() as connection:
            await connection.execute(text("SELECT 1"))
        async with beside.begin() as connection:
            await connection.execute(text("UPDATE event SET kind = kind"))


async def test_the_status_tells_who_runs_and_does_not_stand_in_the_way(place) -> None:
    options = {"password": place.password}
    async with place.open(exclusive=True, migrate=True):
        assert (await inspect_store(place.url, **options)).control_plane is not None
    assert (await inspect_store(place.url, **options)).control_plane is None
    for _ in range(10):
        status = asyncio.create_task(inspect_store(place.url, **options))
        async with place.open(exclusive=True):
            await status


async def test_sigkill_frees_the_lock_at_once(place) -> None:
    async with place.open(migrate=True):
        pass
    async with _other_control_plane(place) as process:
        with pytest.raises(ControlPlaneRunning):
            async with place.open(exclusive=True):
                pass
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with asyncio.timeout(10):
            while True:
                # The kernel frees a file lock with the process; PostgreSQL's backend needs a moment to see the socket close.
                try:
                    async with place.open(exclusive=True):
                        break
                except ControlPlaneRunning:
                    assert place.path is None
                    await asyncio.sleep(0.05)


async def test_the_lock_file_is_private_and_stays(file_place) -> None:
    async with file_place.open(exclusive=True, migrate=True):
        pass
    assert file_place.path.with_name("dbre.db.lock").stat().st_mode & 0o777 == 0o600


async def test_a_lost_lock_is_noticed_by_the_next_write_and_nothing_is_written(
    postgres_place, postgres15: PostgresServer
) -> None:
    async with postgres_place.open(exclusive=True, migrate=True) as store:
        await _end_session_with_lock(postgres15, postgres_place)
        async with postgres_place.open(exclusive=True) as successor:
            with pytest.raises(ControlPlaneLockLost, match="has ended") as caught:
                async with store.begin() as connection:
                    await connection.execute(text("CREATE TABLE written_by_a_zombie (a int)"))
            assert caught.value.exit_code is ExitCode.CONFLICT
            async with asyncio.timeout(1):
                await store.control_plane_lost()
            async with successor.begin() as connection:
                found = await connection.execute(text("SELECT to_regclass('written_by_a_zombie')"))
                assert found.scalar_one() is None
        with pytest.raises(ControlPlaneLockLost):  # lost once is lost for good, also when nobody holds it
            async with store.begin():
                pass


async def test_a_lost_lock_is_noticed_by_an_idle_control_plane(
    postgres_place, postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.core.store.control_plane.WATCH_SECONDS", 0.1)
    async with postgres_place.open(exclusive=True, migrate=True) as store:
        lost = asyncio.create_task(store.control_plane_lost())
        await asyncio.sleep(0.5)
        assert not lost.done()
        await _end_session_with_lock(postgres15, postgres_place)
        async with asyncio.timeout(5):
            await lost


async def _end_session_with_lock(server: PostgresServer, place) -> None:
    async with await server.connect(database=place.url.rpartition("/")[2]) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'dbre:control-plane' AND datname = current_database()"
        )
