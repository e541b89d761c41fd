"""The engine over stores that really fail: locked, full, killed in the middle of commits."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from slo_kit import Place, World

from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.lab.postgres import PostgresServer
from dbre.ports.probe import Outcome


async def test_a_store_locked_by_another_process_delays_and_loses_nothing(tmp_path):
    path = tmp_path / "dbre.db"
    async with Place(url=f"sqlite:///{path}").open() as store:
        world = World(store)
        await world.probe(Outcome.GOOD, times=5)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await world.probe(Outcome.GOOD)
        assert "lock" in (world.engine.health.store_error or "")
        assert world.engine.health.unsaved_events == 1
        world.observe(Outcome.BAD)
        other.execute("ROLLBACK")
        other.close()
        await world.engine.tick()
        assert world.engine.health.store_error is None
        assert await world.stored() == {"good": 6, "bad": 1, "total": 7, "missed": 0, "excluded": 0}


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_said_and_everything_is_written_when_there_is_room(small_file_system):
    async with Place(url=f"sqlite:///{small_file_system / 'dbre.db'}").open() as store:
        world = World(store)
        await world.probe(Outcome.GOOD, times=360, tick=False)
        ballast = small_file_system / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        await world.probe(Outcome.BAD, times=10)
        assert world.engine.health.store_error is not None
        assert (await world.status()).bad == 10
        ballast.unlink()
        await world.probe(Outcome.BAD)
        assert world.engine.health.store_error is None
        assert await world.stored() == {"good": 360, "bad": 11, "total": 371, "missed": 0, "excluded": 0}
        assert [one.data["rule"] for one in await world.events() if one.kind == "slo.alert_fired"][:1] == ["page-1h"]


async def test_a_server_killed_in_the_middle_of_commits_counts_everything_once(fresh_postgres: PostgresServer):
    server, clock = fresh_postgres, SystemClock()
    async with await server.connect() as admin:
        await admin.execute("CREATE DATABASE state")
    url = f"postgresql://{server.superuser}@{server.address}/state"
    async with open_store(url, password=server.password, clock=clock, migrate=True) as store:
        world = World(store, clock=clock)
        recorded, stop = 0, asyncio.Event()

        async def feed() -> None:
            nonlocal recorded
            while not stop.is_set():
                for _ in range(7):
                    world.observe(Outcome.GOOD)
                    recorded += 1
                await asyncio.sleep(0.003)

        async def flush() -> None:
            while not stop.is_set():
                await world.engine.tick()
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(feed()), asyncio.ensure_future(flush())]
        for _ in range(3):
            await asyncio.sleep(0.7)
            await server.kill()
            await asyncio.sleep(0.2)
            await server.start()
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*tasks)
        async with asyncio.timeout(30):
            while world.engine.health.unsaved_events or world.engine.health.store_error:
                await world.engine.tick()
                await asyncio.sleep(0.1)
        assert recorded > 1_000
        assert (await world.stored())["good"] == recorded
