"""The binary log of MariaDB as it is received, sealed and scanned."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from mariadb_kit import History, own, place_of, run_sql, scratch

from dbre.core.errors import Unreachable, Unsupported
from dbre.engines.mysql.backup.binlog_scan import read_groups, whole_bytes
from dbre.engines.mysql.backup.port import MariaDbBackups
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import LogReceiver, ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import LogPosition
from dbre.testing.fixtures import running

_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def logged(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[MariaDbServer]:
    """A server whose log is restarted, purged and rotated."""
    async with running(MariaDbServer("logged-mariadb", lab_site, program=mariadb.program)) as server:
        await run_sql(server.access(), "CREATE TABLE lab.events (id int PRIMARY KEY AUTO_INCREMENT, v varchar(100))")
        yield server


@pytest.fixture
def spool(lab_site: Site) -> object:
    with scratch(lab_site) as directory:
        yield own(directory / "spool", lab_site)


@asynccontextmanager
async def receiving(server: MariaDbServer, spool: Path) -> AsyncIterator[tuple[LogReceiver, "asyncio.Task[None]"]]:
    order = ReceiveOrder(spool=spool, name=f"dbre_{next(_NUMBERS)}")
    receiver = MariaDbBackups(place_of(server.site)).receiver(server.access(), order)
    task = asyncio.create_task(receiver.run())
    try:
        yield receiver, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def write(server: MariaDbServer, count: int = 1) -> LogPosition:
    await run_sql(server.access(), *["INSERT INTO lab.events (v) VALUES (REPEAT('y', 90))"] * count)
    return await MariaDbBackups(place_of(server.site)).position(server.access())


async def reaches(receiver: LogReceiver, task: "asyncio.Task[None]", position: LogPosition) -> None:
    async with asyncio.timeout(90):
        while (flushed := receiver.flushed()) is None or flushed < position:
            if task.done():
                task.result()
            await asyncio.sleep(0.05)


def on_server(server: MariaDbServer, stored: Path) -> bytes:
    return (server.data_directory / stored.name.partition("-")[2].removesuffix(".partial")).read_bytes()


async def test_finished_files_equal_the_servers_own(logged: MariaDbServer, spool: Path) -> None:
    async with receiving(logged, spool) as (receiver, task):
        await reaches(receiver, task, await write(logged, 5))
        (partial,) = spool.glob("*.partial")
        await run_sql(logged.access(), "FLUSH BINARY LOGS")
        await reaches(receiver, task, await write(logged))
    whole = spool / partial.name.removesuffix(".partial")
    assert whole.read_bytes() == on_server(logged, whole)
    assert not partial.exists()
    assert [path.name for path in spool.glob("*.partial")] != []


async def test_a_restart_of_the_server_ends_the_stream_and_the_next_run_goes_on(logged: MariaDbServer, spool: Path) -> None:
    async with receiving(logged, spool) as (receiver, task):
        await reaches(receiver, task, await write(logged))
        before = {path.name for path in spool.glob("*-*")}
        await logged.stop()
        with pytest.raises(Unreachable, match="stream of the binary log ended"):
            async with asyncio.timeout(90):
                await task
    await logged.start()
    async with receiving(logged, spool) as (receiver, task):
        await reaches(receiver, task, await write(logged))
    sealed = sorted(path for path in spool.iterdir() if path.is_file() and not path.name.endswith(".partial"))
    assert {path.name.removesuffix(".partial") for path in map(Path, before)} <= {path.name for path in sealed}
    assert all(path.read_bytes() == on_server(logged, path) for path in sealed)


async def test_a_killed_receiver_loses_nothing_and_keeps_what_it_had(logged: MariaDbServer, spool: Path) -> None:
    async with receiving(logged, spool) as (receiver, task):
        position = await write(logged, 20)
        await reaches(receiver, task, position)
        (partial,) = spool.glob("*.partial")
        had = partial.read_bytes()
        for one in Path("/proc").glob("[0-9]*"):
            try:
                words = (one / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"mariadb-binlog") and any(str(spool).encode() in word for word in words):
                os.kill(int(one.name), signal.SIGKILL)
        with pytest.raises(Unreachable):
            async with asyncio.timeout(90):
                await task
        assert partial.read_bytes().startswith(had)
    async with receiving(logged, spool) as (receiver, task):
        after = await write(logged)
        await reaches(receiver, task, after)
        content = partial.read_bytes()
        # the server marks the file that it writes as in use, in one byte of the first event
        own_content = bytearray(on_server(logged, partial))
        assert content.startswith(had)
        assert len(content) >= after.value & 0xFFFFFFFF
        assert content[30:] == bytes(own_content[30 : len(content)])


async def test_log_that_the_server_removed_is_a_gap(logged: MariaDbServer, spool: Path) -> None:
    async with receiving(logged, spool) as (receiver, task):
        await reaches(receiver, task, await write(logged))
    await run_sql(logged.access(), "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    ((newest, *_),) = (await run_sql(logged.access(), "SHOW BINLOG STATUS"))[0]
    async with asyncio.timeout(90):  # the server keeps files as long as its thread for the session that ended reads them
        while len((await run_sql(logged.access(), f"PURGE BINARY LOGS TO '{newest}'", "SHOW BINARY LOGS"))[1]) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    async with receiving(logged, spool) as (_, task):
        with pytest.raises(LogGap, match="no longer has"):
            async with asyncio.timeout(90):
                await task


async def test_a_synchronous_receiver_is_refused(logged: MariaDbServer, spool: Path) -> None:
    order = ReceiveOrder(spool=spool, name="dbre_sync", is_synchronous=True)
    with pytest.raises(Unsupported, match="after the commit"):
        MariaDbBackups(place_of(logged.site)).receiver(logged.access(), order)


@pytest.mark.parametrize("where", ["in-an-event", "in-a-header", "in-the-magic"])
async def test_a_flipped_byte_is_found_without_any_program(history: History, tmp_path: Path, where: str) -> None:
    name = f"{history.server_id}-binlog.000001"
    path = tmp_path / name
    content = bytearray((history.copies.server.data_directory / "binlog.000001").read_bytes())
    groups = _groups(history.copies.server.data_directory / "binlog.000001")
    content[{"in-an-event": groups[3] + 60, "in-a-header": groups[3] + 10, "in-the-magic": 1}[where]] ^= 0x10
    path.write_bytes(content)
    start = LogPosition(history.server_id, (1 << 32) + 4, "binlog.000001:4")
    found = await history.copies.backups.scan_log([path], start=start, end=None)
    assert [(fault.rule, fault.subject) for fault in found.faults] == [("log_damaged", name)]


def _groups(path: Path) -> list[int]:
    return [group.start for group in read_groups(path, is_last=True)]


async def test_the_range_of_a_file_ends_where_the_next_one_begins_and_any_other_end_must_be_in_it(history: History) -> None:
    path = history.copies.server.data_directory / "binlog.000001"
    named = path.with_name(f"{history.server_id}-binlog.000001")
    named.symlink_to(path)
    try:
        start = LogPosition(history.server_id, (1 << 32) + 4, "binlog.000001:4")
        whole = LogPosition(history.server_id, 2 << 32, "binlog.000002:0")
        beyond = LogPosition(history.server_id, start.value + path.stat().st_size, "beyond")
        assert (await history.copies.backups.scan_log([named], start=start, end=whole)).is_good
        found = await history.copies.backups.scan_log([named], start=start, end=beyond)
    finally:
        named.unlink()
    assert [fault.rule for fault in found.faults] == ["log_gap"]


async def test_a_file_that_is_missing_between_two_is_a_gap(history: History, tmp_path: Path) -> None:
    files = []
    for number in (1, 3):
        files.append(tmp_path / f"{history.server_id}-binlog.{number:06d}")
        files[-1].write_bytes((history.copies.server.data_directory / "binlog.000001").read_bytes())
    start = LogPosition(history.server_id, (1 << 32) + 4, "binlog.000001:4")
    found = await history.copies.backups.scan_log(files, start=start, end=None)
    assert ("log_gap", f"{history.server_id}-binlog.000002") in {(fault.rule, fault.subject) for fault in found.faults}


def test_every_cut_of_a_file_ends_with_its_last_whole_event(history: History, tmp_path: Path) -> None:
    content = (history.copies.server.data_directory / "binlog.000001").read_bytes()
    path = tmp_path / "cut"
    ends = {0, whole_bytes(history.copies.server.data_directory / "binlog.000001")}
    previous = 0
    for size in range(0, len(content) + 1, 37):
        path.write_bytes(content[:size])
        end = whole_bytes(path)
        assert previous <= end <= size
        ends.add(end)
        previous = end
    assert len(ends) > 10


async def test_ending_a_file_makes_it_whole_in_the_spool(logged: MariaDbServer, spool: Path) -> None:
    source = MariaDbBackups(place_of(logged.site)).log_source(logged.access())
    async with receiving(logged, spool) as (receiver, task):
        await reaches(receiver, task, await write(logged))
        before = await source.backlog("dbre")
        ended = await source.end_file()
        assert ended == before.position
        await reaches(receiver, task, await write(logged))
        assert (await source.backlog("dbre")).change_mark != before.change_mark
    whole = [path for path in spool.iterdir() if path.is_file() and source.is_whole(path)]
    assert [path.name for path in whole] == [f"{ended.timeline}-{ended.text.rpartition(':')[0]}"]
