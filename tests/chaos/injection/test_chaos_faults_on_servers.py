"""Each fault on a real server: refused where it must be, seen to be on, taken back, seen to be gone."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from injection_kit import INJECTOR, ballasts, has_no_injector, is_over, order_on, record_of, runner, until

from dbre.capabilities.chaos.injection.model import InjectionFailed
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import read_records
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.testing.fixtures import leave_out

PASSWORD = "s3cret"
REFUSALS = ("not an address of this machine", "nobody listens", "replaced the words", "main process of one has 'redis'")


async def failure_of(order: Order) -> str:
    """Why a fault does not come about; nothing of it is left."""
    injection = await Injection.start(INJECTOR, order)
    with pytest.raises(InjectionFailed) as caught:
        await injection.wait_until_on()
    await injection.end(limit_seconds=60.0)
    assert all(one.holder() is None or one.phase.value == "failed" for one in read_records(Path(order.directory)))
    return caught.value.message


async def make_client(server: PostgresServer) -> None:
    """A login as clients have it, which may see sessions."""
    async with await server.connect() as admin:
        await admin.execute("DROP ROLE IF EXISTS chaos_client")
        await admin.execute(f"CREATE ROLE chaos_client LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor".encode())


async def is_refused(server: PostgresServer) -> bool:
    """Whether one more client of that login is refused for want of a place."""
    address = server.address
    try:
        connection = await psycopg.AsyncConnection.connect(
            host=address.host, port=address.port, user="chaos_client", password=PASSWORD, dbname="postgres"
        )
    except psycopg.OperationalError as error:
        return "remaining connection slots" in str(error) or "too many clients" in str(error)
    await connection.close()
    return False


async def test_exhausted_places_leave_those_of_administrators(small_postgres: PostgresServer, tmp_path: Path) -> None:
    await make_client(small_postgres)
    client = small_postgres.access(user="chaos_client", password=Secret(PASSWORD))
    order = order_on(small_postgres, "pool-exhaustion", tmp_path, access=client)
    async with runner(order):
        assert await is_refused(small_postgres)
        async with await small_postgres.connect() as admin:  # a superuser's place is still there
            assert await (await admin.execute("SELECT 1")).fetchone() == (1,)
        os.kill(record_of(order).pid, signal.SIGKILL)  # sessions die with whoever holds them
        await until(partial(has_no_injector, order))
        while await is_refused(small_postgres):
            pass
    again = order_on(small_postgres, "pool-exhaustion", tmp_path / "again", access=client, seconds=1.0)
    async with runner(again):
        await until(partial(is_over, again))
    assert not await is_refused(small_postgres)
    assert "is a superuser" in await failure_of(order_on(small_postgres, "pool-exhaustion", tmp_path / "refused"))


async def test_a_crashed_server_is_started_again_with_its_own_words(small_postgres: PostgresServer, tmp_path: Path) -> None:
    before = small_postgres.pid
    order = order_on(small_postgres, "crash", tmp_path, restart="same")
    async with runner(order) as process:
        assert not small_postgres.is_running
        process.kill()
        await until(partial(is_over, order))
    async with await small_postgres.connect() as admin:
        assert await (await admin.execute("SELECT 1")).fetchone() == (1,)
    (main,) = [one for one in small_postgres.processes() if one.parent not in {two.pid for two in small_postgres.processes()}]
    assert main.pid != before


async def test_one_process_of_a_server_is_frozen_and_the_others_serve(small_postgres: PostgresServer, tmp_path: Path) -> None:
    order = order_on(small_postgres, "freeze", tmp_path, only="checkpointer")
    async with runner(order) as process:
        assert record_of(order).detail == "1 of 1 process stopped"
        (stopped,) = [one for one in small_postgres.processes() if one.is_stopped]
        assert "checkpointer" in Path(f"/proc/{stopped.pid}/cmdline").read_text()
        async with await small_postgres.connect() as admin:
            assert await (await admin.execute("SELECT 1")).fetchone() == (1,)
        process.kill()
        await until(partial(is_over, order))
    assert not any(one.is_stopped for one in small_postgres.processes())
    assert "has 'replayer' in its title" in await failure_of(order_on(small_postgres, "freeze", tmp_path, only="replayer"))


async def test_processes_are_refused_that_are_not_a_server_here(victim: RedisServer, tmp_path: Path) -> None:
    given = victim.access()
    elsewhere = type(given)(address=Address("192.0.2.1", 6379), user=None, password=None, database=None)
    nobody = type(given)(address=Address("127.0.0.1", 1), user=None, password=None, database=None)
    found = await asyncio.gather(
        failure_of(order_on(victim, "freeze", tmp_path / "one", access=elsewhere)),
        failure_of(order_on(victim, "freeze", tmp_path / "two", access=nobody)),
        failure_of(order_on(victim, "crash", tmp_path / "three", restart="same")),
        failure_of(order_on(victim, "freeze", tmp_path / "four", only="redis")),
    )
    for words, message in zip(REFUSALS, found, strict=True):
        assert words in message
    assert victim.is_running
    assert not victim.is_frozen


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place], check=False, capture_output=True)
    if mounted.returncode:
        leave_out("a small file system needs the right to mount one")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_the_floor_of_a_disk_is_kept_whoever_else_writes(victim: RedisServer, small_disk: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    where = {"directory": str(small_disk)}
    assert "less than the floor" in await failure_of(
        order_on(victim, "disk-ballast", state, leave="1MB", floor="10MB", **where)
    )
    order = order_on(victim, "disk-ballast", state, leave="30MB", floor="20MB", **where)
    async with runner(order):
        (ballast,) = ballasts(small_disk)
        taken = ballast.stat().st_blocks
        (small_disk / "others").write_bytes(b"x" * 25_000_000)
        await until(lambda: ballast.stat().st_blocks < taken)
        found = os.statvfs(small_disk)
        await until(lambda: os.statvfs(small_disk).f_bavail * found.f_frsize >= 20_000_000)
        os.kill(record_of(order).pid, signal.SIGTERM)
        await until(partial(is_over, order))
    assert ballasts(small_disk) == []
