"""The state store fails while an operation runs: nothing is done twice, nothing is called failed that did not fail."""

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, Diary, Scripted, Verified, plan, until
from sqlalchemy import select

from dbre.core.clock import SystemClock
from dbre.core.operation import tables
from dbre.core.operation.context import StepContext
from dbre.core.operation.errors import LeaseLost
from dbre.core.store import Store, open_store
from dbre.core.store.errors import StoreUnreachable
from dbre.lab.postgres import PostgresServer

STEPS = ("once:a", "blind:b", "once:c")


def lose_answer(store: Store, number: int) -> Callable[[], int]:
    """The answer to commit ``number`` is lost: it was made, and the caller is told that the server is gone."""
    grouped, count = store.grouped, 0

    async def lossy(work: Callable[[Any], Awaitable[Any]]) -> Any:
        nonlocal count
        count += 1
        mine = count
        result = await grouped(work)
        if mine == number:
            raise StoreUnreachable("the connection was lost", hint=None)
        return result

    store.grouped = lossy  # type: ignore[method-assign]
    return lambda: count


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_commit_whose_answer_is_lost_is_not_made_again(store: Store, tmp_path: Path, number: int) -> None:
    diary = Diary(tmp_path / "diary")
    bench, operation = Bench(store, diary), Verified(diary)
    operation_id = await bench.submit(operation, plan(*STEPS))
    counted = lose_answer(store, number)
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, record.attempt, diary.lines) == ("succeeded", 1, list(STEPS))
    assert counted() == 6  # five commits, one of which was asked for once more
    audited = await bench.audited()
    assert audited.count("operation.step_done") == 3
    assert audited.count("operation.succeeded") == 1


async def test_the_server_of_the_store_is_restarted_in_the_middle(fresh_postgres: PostgresServer, tmp_path: Path) -> None:
    url = f"postgresql://{fresh_postgres.superuser}@{fresh_postgres.address}/postgres"
    async with open_store(url, clock=SystemClock(), password=fresh_postgres.password, migrate=True) as store:
        diary = Diary(tmp_path / "diary")

        async def restart(context: StepContext) -> None:
            await fresh_postgres.kill()

        operation, bench = Scripted(diary, {"blind:b": restart}), Bench(store, diary)
        operation_id = await bench.submit(operation, plan(*STEPS))
        task = asyncio.create_task(bench.runner(operation).run(operation_id))
        await until(lambda: "blind:b" in diary.lines)
        await asyncio.sleep(1.5)
        await fresh_postgres.start()
        async with asyncio.timeout(20):
            record = await task
        assert record is not None
        assert (record.state, record.attempt, diary.lines) == ("succeeded", 1, list(STEPS))


@pytest.mark.slow
async def test_a_file_that_is_locked_for_ten_seconds_is_waited_for(file_place, tmp_path: Path) -> None:
    async with file_place.open(migrate=True) as store:
        diary = Diary(tmp_path / "diary")
        operation, bench = Scripted(diary), Bench(store, diary)
        operation_id = await bench.submit(operation, plan(*STEPS))
        with closing(sqlite3.connect(file_place.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(bench.runner(operation).run(operation_id))
            await asyncio.sleep(10)
            assert not task.done()
            other.execute("ROLLBACK")
        record = await task
        assert record is not None
        assert (record.state, diary.lines) == ("succeeded", list(STEPS))


async def test_a_lease_that_ends_during_an_outage_ends_the_step_and_writes_nothing(file_place, tmp_path: Path) -> None:
    async with file_place.open(migrate=True) as store:
        diary, ended = Diary(tmp_path / "diary"), []

        async def long(context: StepContext) -> None:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        operation, bench = Scripted(diary, {"once:a": long}), Bench(store, diary, lease="2s", renewal="500ms")
        operation_id = await bench.submit(operation, plan(*STEPS))
        task = asyncio.create_task(bench.runner(operation).run(operation_id))
        await until(lambda: "once:a" in diary.lines)
        with closing(sqlite3.connect(file_place.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LeaseLost):
                async with asyncio.timeout(6):
                    await task
            other.execute("ROLLBACK")
        assert ended == ["cancelled"]
        record = await bench.record(operation_id)
        assert (record.state, record.steps[0].state) == ("running", "started")
        operation.script = {}
        await asyncio.sleep(0.3)  # the worker counts from before it asked for the lease, the store from when it gave it
        again = await bench.runner(operation).run(operation_id)
        assert again is not None
        assert (again.state, again.attempt, diary.lines) == ("succeeded", 2, list(STEPS))
        assert again.steps[0].is_recovered


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_waited_for_until_there_is_room(small_disk: Path, make_place, tmp_path: Path) -> None:
    async with make_place(small_disk / "dbre.db").open(migrate=True) as store:
        diary, ballast = Diary(tmp_path / "diary"), small_disk / "ballast"

        async def fill(context: StepContext) -> None:
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    return

        operation, bench = Scripted(diary, {"blind:b": fill}), Bench(store, diary)
        names = ("once:a", "blind:b", *(f"once:{number}" for number in range(20)))
        operation_id = await bench.submit(operation, plan(*names))
        task = asyncio.create_task(bench.runner(operation).run(operation_id))
        await until(ballast.exists)
        await asyncio.sleep(1.5)
        assert not task.done()
        ballast.unlink()
        async with asyncio.timeout(20):
            record = await task
        assert record is not None
        assert (record.state, record.attempt, diary.lines) == ("succeeded", 1, list(names))


async def test_a_renewal_that_hangs_in_its_transaction_does_not_let_the_step_outlive_the_lease(
    fresh_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = f"postgresql://{fresh_postgres.superuser}@{fresh_postgres.address}/postgres"
    options: dict[str, Any] = {"clock": SystemClock(), "password": fresh_postgres.password}
    async with open_store(url, migrate=True, **options) as store, open_store(url, **options) as other:
        diary, ended = Diary(tmp_path / "diary"), []

        async def long(context: StepContext) -> None:
            try:
                await asyncio.sleep(30)
            finally:
                ended.append(time.monotonic())

        operation, bench = Scripted(diary, {"once:a": long}), Bench(store, diary, lease="2s", renewal="500ms")
        operation_id = await bench.submit(operation, plan(*STEPS))
        task = asyncio.create_task(bench.runner(operation).run(operation_id))
        await until(lambda: "once:a" in diary.lines)
        async with other._writer.connect() as session, session.begin():
            began = time.monotonic()
            await session.execute(select(tables.operation.c.id).with_for_update())
            with pytest.raises(LeaseLost):
                await task
        assert ended[0] - began < 3
