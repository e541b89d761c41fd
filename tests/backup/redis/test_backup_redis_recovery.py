"""Servers that come out of copies of Redis hold exactly what the target says."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from left_behind_kit import kill_while_recovered
from redis_copies_kit import KeptLog, RedisHistory, client, ledger, order_for, own

from dbre.core.errors import Unsupported
from dbre.ports.backup.errors import CopyDamaged, LogGap, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import CopyKind, LogKind, LogPosition, RecoveryTarget, TargetKind

LATEST = RecoveryTarget(kind=TargetKind.LATEST)
IMMEDIATE = RecoveryTarget(kind=TargetKind.IMMEDIATE)


@pytest.mark.parametrize(
    ("which", "last"),
    [("immediate", 3), ("position", 6), ("time", 7), ("latest", 10)],
    ids=["immediate", "position", "time", "latest"],
)
async def test_the_ledger_ends_where_the_target_says(redis_history: RedisHistory, which: str, last: int) -> None:
    target = {
        "immediate": IMMEDIATE,
        "position": RecoveryTarget(kind=TargetKind.POSITION, value=redis_history.position.text),
        "time": RecoveryTarget(kind=TargetKind.TIME, at=redis_history.moment),
        "latest": LATEST,
    }[which]
    copies = redis_history.copies
    directory = await copies.assemble("full", into=f"data-{which}")
    async with copies.backups.recover(order_for(directory, target, redis_history.log)) as server:
        assert ledger(server.access) == list(range(1, last + 1))
        assert server.outcome.has_reached_target
        with client(server.access) as connection:
            assert connection.exists("with-six") == (1 if last >= 6 else 0)


async def test_a_snapshot_recovers_to_its_own_moment(redis_history: RedisHistory) -> None:
    copies = redis_history.copies
    assert copies.made["snapshot"].kind is CopyKind.SNAPSHOT
    directory = await copies.assemble("snapshot", into="data-snapshot")
    async with copies.backups.recover(order_for(directory, LATEST, None)) as server:
        assert ledger(server.access) == list(range(1, 11))


async def test_a_snapshot_cannot_reach_a_time(redis_history: RedisHistory) -> None:
    directory = await redis_history.copies.assemble("snapshot", into="data-snapshot-time")
    target = RecoveryTarget(kind=TargetKind.TIME, at=redis_history.moment)
    with pytest.raises(TargetNotReached, match="snapshot"):
        async with redis_history.copies.backups.recover(order_for(directory, target, redis_history.log)):
            pytest.fail("it came up")


async def test_nobody_writes_before_the_server_is_promoted(redis_history: RedisHistory) -> None:
    copies = redis_history.copies
    directory = await copies.assemble("full", into="data-promoted")
    async with copies.backups.recover(order_for(directory, IMMEDIATE, None)) as server:
        with client(server.access) as connection:
            with pytest.raises(redis.exceptions.ResponseError, match="NOREPLICAS"):
                connection.set("early", "1")
            assert connection.config_get("port") == {"port": "0"}
            await server.promote()
            connection.set("late", "1")
            number = connection.info("server")["process_id"]
        assert server.outcome.is_jailed, server.outcome.jail
        assert os.readlink(f"/proc/{number}/ns/net") != os.readlink("/proc/self/ns/net")  # noqa: PTH115
        await server.stop(keep=True)
    assert not Path(f"/proc/{number}").exists()
    assert sorted(path.name for path in directory.iterdir()) == ["appendonlydir", "dbre-origin.json"]


async def test_a_kept_snapshot_has_what_was_written_after_the_promotion(redis_history: RedisHistory) -> None:
    copies = redis_history.copies
    directory = await copies.assemble("snapshot", into="data-kept-snapshot")
    async with copies.backups.recover(order_for(directory, IMMEDIATE, None, stays_at_target=False)) as server:
        with client(server.access) as connection:
            connection.rpush("ledger", 99)
        await server.stop(keep=True)
    async with copies.backups.recover(order_for(directory, IMMEDIATE, None)) as server:
        assert ledger(server.access)[-1] == 99


async def test_redis_own_tool_cuts_at_the_same_place(redis_history: RedisHistory, tmp_path: Path) -> None:
    """redis-check-aof --truncate-to-timestamp keeps the second that it is given, so the one before ours is given."""
    copies = redis_history.copies
    directory = await copies.assemble("full", into="data-peer")
    target = RecoveryTarget(kind=TargetKind.TIME, at=redis_history.moment)
    async with copies.backups.recover(order_for(directory, target, redis_history.log)) as server:
        assert server.outcome.position is not None
        name, _, offset = server.outcome.position.text.rpartition(":")
    peer = tmp_path / "appendonlydir"
    peer.mkdir()
    (peer / name).write_bytes((redis_history.log.directory / name).read_bytes())
    (peer / "appendonly.aof.manifest").write_text(f"file {name} seq 1 type i\n")
    second = int(redis_history.moment.timestamp()) - 1
    command = ["redis-check-aof", "--truncate-to-timestamp", str(second), str(peer / "appendonly.aof.manifest")]
    subprocess.run(command, check=True, capture_output=True, input=b"y\n")  # noqa: ASYNC221
    assert (peer / name).stat().st_size == int(offset)


@pytest.mark.parametrize("which", ["time-in-the-future", "position-beyond-the-end"])
async def test_a_target_that_the_log_does_not_reach_is_an_error(redis_history: RedisHistory, which: str) -> None:
    target = {
        "time-in-the-future": RecoveryTarget(kind=TargetKind.TIME, at=redis_history.moment + timedelta(days=1)),
        "position-beyond-the-end": RecoveryTarget(kind=TargetKind.POSITION, value="appendonly.aof.9.incr.aof:400"),
    }[which]
    directory = await redis_history.copies.assemble("full", into=f"data-{which}")
    with pytest.raises(TargetNotReached, match="before its target"):
        async with redis_history.copies.backups.recover(order_for(directory, target, redis_history.log)):
            pytest.fail("it came up")


async def test_a_missing_first_log_file_is_a_gap(redis_history: RedisHistory) -> None:
    directory = await redis_history.copies.assemble("full", into="data-gap")
    empty = KeptLog(own(redis_history.copies.directory / "no-log", redis_history.copies.site), redis_history.copies.site)
    with pytest.raises(LogGap, match="is missing"):
        async with redis_history.copies.backups.recover(order_for(directory, LATEST, empty)):
            pytest.fail("it came up")


@pytest.mark.parametrize(("offset", "why"), [(5, "does not begin"), (-3, "is damaged")], ids=["in-the-copy", "after-the-copy"])
async def test_a_flipped_byte_in_the_log_stops_recovery(redis_history: RedisHistory, offset: int, why: str) -> None:
    copies = redis_history.copies
    name = "appendonly.aof.1.incr.aof"
    size = (redis_history.log.directory / name).stat().st_size
    log = KeptLog(redis_history.log.directory, copies.site, damage={name: offset % size})
    # the last bytes of the file are "9\r\n": the flipped one is the carriage return's neighbour or itself
    log.damage[name] = offset % size if offset > 0 else size - 2
    directory = await copies.assemble("full", into=f"data-flip-{why.replace(' ', '-')}")
    with pytest.raises(CopyDamaged, match=why):
        async with copies.backups.recover(order_for(directory, LATEST, log)):
            pytest.fail("it came up")


@pytest.mark.parametrize("kind", [TargetKind.NAME, TargetKind.TRANSACTION], ids=str)
async def test_targets_that_redis_has_not_are_refused(redis_history: RedisHistory, kind: TargetKind) -> None:
    directory = await redis_history.copies.assemble("full", into=f"data-{kind}")
    with pytest.raises(Unsupported, match="Redis has no"):
        async with redis_history.copies.backups.recover(
            order_for(directory, RecoveryTarget(kind=kind, value="x"), redis_history.log)
        ):
            pytest.fail("it came up")


async def test_a_damaged_snapshot_does_not_come_up(redis_history: RedisHistory) -> None:
    directory = await redis_history.copies.assemble("snapshot", into="data-bad-snapshot")
    path = directory / "dump.rdb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecoveryFailed, match="ended with"):
        async with redis_history.copies.backups.recover(order_for(directory, IMMEDIATE, None)):
            pytest.fail("it came up")


async def test_the_receiver_names_files_when_the_server_begins_the_next(redis_history: RedisHistory) -> None:
    names = sorted(path.name for path in redis_history.log.directory.iterdir())
    assert names == ["appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof.partial"]
    kinds = [redis_history.copies.backups.log_file(name, size=10, sha256="", segment_bytes=None) for name in names]
    assert [one and one.kind for one in kinds] == [LogKind.SEGMENT, LogKind.PARTIAL]
    assert kinds[0] is not None
    assert kinds[1] is not None
    assert kinds[0].end == kinds[1].start


async def test_a_server_does_not_outlive_a_killed_recovery(redis_history: RedisHistory) -> None:
    directory = await redis_history.copies.assemble("full", into="data-killed")
    assert await kill_while_recovered("redis", directory, redis_history.copies.site.cache) >= 1


async def test_the_range_of_a_file_ends_where_the_next_one_begins_and_any_other_end_must_be_in_it(
    redis_history: RedisHistory,
) -> None:
    backups, position = redis_history.copies.backups, redis_history.position
    path = redis_history.log.directory / position.text.rpartition(":")[0]
    number = position.value >> 32
    start = LogPosition(1, number << 32, f"{path.name}:0")
    assert (await backups.scan_log([path], start=start, end=LogPosition(1, (number + 1) << 32, "the next"))).is_good
    beyond = LogPosition(1, start.value + path.stat().st_size + 1, "beyond")
    found = await backups.scan_log([path], start=start, end=beyond)
    assert [fault.rule for fault in found.faults] == ["log_gap"]
