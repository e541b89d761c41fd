"""Copies of Redis: what they say of themselves, every damage of them, problems before them, the log that is followed."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from redis_copies_kit import RedisCopies, RedisHistory, client, own, place_of, quiet, until

from dbre.core.errors import Conflict, Unsupported
from dbre.engines.redis.backup.aof import AofDamaged, Torn, parse_manifest, read_units, whole_bytes
from dbre.engines.redis.backup.port import RedisBackups
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import ChecksumState, CopyKind, CopyOrder, LogPosition
from dbre.ports.file_manifest import MANIFEST_NAME
from dbre.testing.fixtures import running

AOF = "appendonlydir/appendonly.aof.1.incr.aof"


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset % len(content)] ^= 1
    path.write_bytes(content)


MUTATIONS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "byte-flipped": (lambda at: flip(at / AOF, 20), "checksum", AOF),
    "file-truncated": (lambda at: os.truncate(at / AOF, 5), "size", AOF),
    "file-missing": (lambda at: (at / AOF).unlink(), "missing_file", AOF),
    "file-added": (lambda at: (at / "dump.rdb").write_bytes(b"x"), "extra_file", "dump.rdb"),
    "manifest-flipped": (lambda at: flip(at / MANIFEST_NAME, 200), "manifest", MANIFEST_NAME),
    "manifest-missing": (lambda at: (at / MANIFEST_NAME).unlink(), "manifest", MANIFEST_NAME),
}


@pytest.mark.parametrize("name", sorted(MUTATIONS))
async def test_verification_names_every_damage(redis_history: RedisHistory, tmp_path: Path, name: str) -> None:
    change, rule, subject = MUTATIONS[name]
    shutil.copytree(redis_history.copies.directory / "full", tmp_path / "copy")
    assert (await redis_history.copies.backups.verify(tmp_path / "copy")).is_good
    change(tmp_path / "copy")
    faults = (await redis_history.copies.backups.verify(tmp_path / "copy")).faults
    assert (rule, subject) in {(fault.rule, fault.subject) for fault in faults}


async def test_facts_name_server_and_place(redis_history: RedisHistory) -> None:
    full, snapshot = redis_history.copies.made["full"], redis_history.copies.made["snapshot"]
    assert full.stop is not None
    assert full.stop < redis_history.position
    assert (snapshot.start, snapshot.checksums) == (None, ChecksumState.GOOD)
    assert full.system_id == snapshot.system_id
    assert full.warnings == ()
    assert await redis_history.copies.backups.facts(redis_history.copies.directory / "full") == full


async def test_a_survey_of_a_good_server_finds_nothing(redis_history: RedisHistory) -> None:
    survey = await redis_history.copies.backups.survey(redis_history.copies.server.access())
    assert survey.problems == ()
    assert not survey.can_increment
    assert survey.position is not None


async def test_a_server_without_log_is_copied_as_a_snapshot_and_says_so(redis_server: RedisServer, lab_site: Site) -> None:
    server = RedisServer("unlogged-redis", lab_site, program=redis_server.program, settings={"appendonly": "no"})
    async with running(server):
        copies = RedisCopies(server, lab_site, own(lab_site.directory / "unlogged-copies", lab_site))
        with client(server.access()) as connection:
            connection.rpush("ledger", 1)
        assert [one.rule for one in (await copies.backups.survey(server.access())).problems] == ["backup.no_log"]
        facts = await copies.take("full")
        assert facts.start is None
        assert "nothing after it can be recovered" in facts.warnings[0]
        with pytest.raises(Unsupported, match="appendonly off"):
            await copies.backups.position(server.access())


@pytest.mark.parametrize("kind", [CopyKind.INCREMENTAL, CopyKind.LOGICAL], ids=str)
async def test_kinds_that_there_are_not_are_refused(redis_history: RedisHistory, kind: CopyKind) -> None:
    order = CopyOrder(
        set_id="x", kind=kind, directory=own(redis_history.copies.directory / f"odd-{kind}", redis_history.copies.site)
    )
    with pytest.raises(Unsupported, match="has no"):
        await redis_history.copies.backups.copy(redis_history.copies.server.access(), order, quiet)


async def test_a_missing_program_is_told(redis_history: RedisHistory, tmp_path: Path) -> None:
    lame = RedisBackups(replace(place_of(redis_history.copies.site), bindir=tmp_path))
    survey = await lame.survey(redis_history.copies.server.access())
    assert {problem.rule for problem in survey.problems} == {"backup.tool_unusable"}
    old = {tool.name: tool for tool in await redis_history.copies.backups.tools(version="99.0.0")}
    assert "99.0" in str(old["redis-server"].problem)


async def test_a_copy_during_writes_and_rewrites_is_whole(
    redis_history: RedisHistory, redis_server: RedisServer, lab_site: Site
) -> None:
    """Nothing is switched off on the server, whatever it does meanwhile."""
    async with running(RedisServer("busy-redis", lab_site, program=redis_server.program)) as server:
        copies = RedisCopies(server, lab_site, own(lab_site.directory / "busy-copies", lab_site))
        stop = asyncio.Event()

        def work() -> None:
            number = 0
            with client(server.access()) as connection:
                while not stop.is_set():
                    with connection.pipeline(transaction=False) as pipe:
                        for _ in range(100):
                            number += 1
                            pipe.rpush("ledger", number)
                        pipe.execute()
                    if number % 2000 == 0:
                        with contextlib.suppress(redis.exceptions.ResponseError):  # one is in progress
                            connection.bgrewriteaof()

        writing = asyncio.create_task(asyncio.to_thread(work))
        try:
            for number in range(5):
                await copies.take(f"copy-{number}")
                assert (await copies.backups.verify(copies.directory / f"copy-{number}")).is_good
        finally:
            stop.set()
            await writing


async def test_the_receiver_goes_on_where_it_ended_and_tells_a_gap(redis_server: RedisServer, lab_site: Site) -> None:
    async with running(RedisServer("followed-redis", lab_site, program=redis_server.program)) as server:
        base = own(lab_site.directory / "followed", lab_site)
        copies = RedisCopies(server, lab_site, base)
        spool = own(base / "spool", lab_site)
        order = ReceiveOrder(spool=spool, name="dbre_test")
        with client(server.access()) as connection:
            for number in range(3):
                connection.rpush("ledger", number)
                await _receive_to(copies, order, await copies.backups.position(server.access()))
            (partial,) = spool.glob("*.partial")
            assert (
                partial.read_bytes()
                == (server.data_directory / "appendonlydir" / partial.name.removesuffix(".partial")).read_bytes()
            )
            for _ in range(2):
                connection.bgrewriteaof()
                await until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0)
            await until(lambda: not (server.data_directory / "appendonlydir" / partial.name.removesuffix(".partial")).exists())
        with pytest.raises(LogGap, match="rewritten while nobody received"):
            async with asyncio.timeout(60):
                await copies.backups.receiver(server.access(), order).run()


async def _receive_to(copies: RedisCopies, order: ReceiveOrder, position: LogPosition) -> None:
    receiver = copies.backups.receiver(copies.server.access(), order)
    task = asyncio.create_task(receiver.run())
    await until(lambda: task.done() or ((flushed := receiver.flushed()) is not None and flushed >= position))
    assert not task.done(), task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_spool_of_another_server_is_a_conflict(redis_history: RedisHistory, lab_site: Site) -> None:
    spool = own(redis_history.copies.directory / "foreign-spool", lab_site)
    (spool / "appendonly.aof.2.incr.aof.partial").write_bytes(b"*1\r\n$4\r\nPING\r\n")
    receiver = redis_history.copies.backups.receiver(redis_history.copies.server.access(), ReceiveOrder(spool=spool, name="x"))
    with pytest.raises(Conflict, match="is not what Redis"):
        async with asyncio.timeout(60):
            await receiver.run()


def test_every_cut_of_the_log_ends_with_its_last_whole_command(redis_history: RedisHistory, tmp_path: Path) -> None:
    content = (redis_history.log.directory / "appendonly.aof.1.incr.aof").read_bytes()
    path, ends = tmp_path / "cut", set()
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        ends.add(whole_bytes(path))
    path.write_bytes(content)
    with path.open("rb") as file:
        assert ends == {0, *(unit.end for unit in read_units(file))}


@pytest.mark.parametrize(
    "content", [b"x", b"*0\r\n", b"*1\r\n+4\r\n", b"*1\r\n$4\r\nPINGxx", b"*9999999\r\n", b"#TS:x\r\n"], ids=range(6)
)
def test_what_is_no_command_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content + b" " * 100)
    with path.open("rb") as file, pytest.raises((AofDamaged, Torn)) as caught:
        list(read_units(file))
    assert caught.type is AofDamaged


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file ../../etc/passwd seq 1 type i\n",
        "file a.aof seq 1 type x\n",
        "file a.1.base.rdb seq 1 type b\n",
        "file a.2.incr.aof seq 2 type i\nfile a.1.incr.aof seq 1 type i\n",
    ],
    ids=["empty", "climbs-out", "unknown-type", "no-commands", "wrong-order"],
)
def test_manifests_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(AofDamaged):
        parse_manifest(text)


async def test_ending_a_file_begins_the_next_one_where_something_was_written(redis_server: RedisServer, lab_site: Site) -> None:
    async with running(RedisServer("ended-redis", lab_site, program=redis_server.program)) as server:
        backups = RedisBackups(place_of(lab_site))
        source = backups.log_source(server.access())
        with client(server.access()) as connection:
            connection.set("a", "1")
        first = await source.end_file()
        second = (await source.backlog("dbre")).position
        assert second.value >> 32 == (first.value >> 32) + 1
        assert await source.end_file() == second
        assert (await source.backlog("dbre")).position == second
