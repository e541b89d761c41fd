"""The log: what was acknowledged is there, whatever happened to the disk; what was not never comes back."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from dbre.capabilities.slo.ingest.wal import disk
from dbre.capabilities.slo.ingest.wal.errors import LogFailed, LogTaken
from dbre.capabilities.slo.ingest.wal.frames import HEADER_BYTES, Frame, frame, header, read_frames
from dbre.capabilities.slo.ingest.wal.log import WriteAheadLog


class Writing:
    """A log whose durable records are kept."""

    def __init__(self, directory: Path, **options) -> None:
        self.durable: list[tuple[int, bytes]] = []
        self.failed = 0
        self.log = WriteAheadLog(
            directory,
            on_durable=lambda group: self.durable.extend((one.number, one.payload) for one in group),
            on_failed=self._fail,
            first_payload=lambda: b"snapshot",
            **options,
        )
        recovery = self.log.open()
        self.found = [one for segment in recovery.segments() for one in segment]
        self.recovery = recovery
        self.log.begin(epoch=recovery.epoch, last=recovery.last)

    def _fail(self, group) -> None:
        self.failed += len(group)

    async def append(self, *payloads: bytes) -> list[int]:
        return await asyncio.gather(*(self.log.append(one, None) for one in payloads))

    async def __aenter__(self) -> "Writing":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.log.close()


def payloads(found: list[Frame]) -> list[bytes]:
    return [one.payload for one in found if one.payload != b"snapshot"]


async def test_what_was_appended_is_found_again_in_its_order(tmp_path):
    async with Writing(tmp_path) as first:
        numbers = await first.append(*(b"%d" % one for one in range(100)))
        assert numbers == list(range(2, 102))  # the first one of a segment is its snapshot
        assert first.log.syncs < 100  # they shared the wait for the disk
        assert [number for number, _ in first.durable] == numbers
    async with Writing(tmp_path) as second:
        assert payloads(second.found) == [b"%d" % one for one in range(100)]
        assert second.log.epoch == first.log.epoch
        assert await second.append(b"more") == [103]
    async with Writing(tmp_path) as third:
        assert payloads(third.found)[-1] == b"more"
        assert third.recovery.damaged_bytes == 0


@pytest.mark.parametrize("cut", [1, 5, 19, 20, 25])
async def test_a_torn_tail_is_no_damage(tmp_path, cut):
    async with Writing(tmp_path) as first:
        await first.append(b"first")
        await first.append(b"second")
        path = next(iter(disk.segments(tmp_path)))
    os.truncate(path, path.stat().st_size - cut)
    async with Writing(tmp_path) as second:
        assert payloads(second.found) == [b"first"]
        assert second.recovery.damaged_bytes == 0
        await second.append(b"third")
    async with Writing(tmp_path) as third:
        assert payloads(third.found) == [b"first", b"third"]
        assert third.recovery.damaged_bytes == 0


@pytest.mark.parametrize("position", [HEADER_BYTES + 30, HEADER_BYTES + 2, HEADER_BYTES + 5, 3])
async def test_a_flipped_bit_costs_one_record_and_the_file_is_kept(tmp_path, position):
    async with Writing(tmp_path) as first:
        await first.append(b"x" * 50)
        for one in (b"second", b"third"):
            await first.append(one)
        path = next(iter(disk.segments(tmp_path)))
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    async with Writing(tmp_path) as second:
        assert payloads(second.found)[-2:] == [b"second", b"third"]
        assert second.recovery.damaged_bytes > 0
        assert second.recovery.damaged_files == [path.name]
        assert (tmp_path / "quarantine" / path.name).read_bytes() == data


async def test_a_cut_in_the_middle_of_the_log_is_damage(tmp_path):
    async with Writing(tmp_path, segment_bytes=100) as first:
        for one in range(6):
            await first.append(b"%d" % one * 40)
        paths = disk.segments(tmp_path)
    assert len(paths) > 2
    os.truncate(paths[0], paths[0].stat().st_size - 3)
    async with Writing(tmp_path) as second:
        assert second.recovery.damaged_files == [paths[0].name]
        assert payloads(second.found)[-1] == b"5" * 40


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("is_durable", [True, False], ids=["on-the-disk", "not-on-the-disk"])
async def test_a_write_that_failed_is_told_and_never_counted(tmp_path, monkeypatch, code, is_durable):
    """Also where its bytes are on the disk after all: the same numbers were given out again."""
    monkeypatch.setattr("dbre.capabilities.slo.ingest.wal.log._RETRY_SECONDS", 0.0)
    real = os.fdatasync
    async with Writing(tmp_path) as first:
        await first.append(b"before")

        def fail(descriptor: int) -> None:
            if not is_durable:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - 10)
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(LogFailed, match=os.strerror(code)):
            await first.append(b"lost")
        assert first.failed == 1
        monkeypatch.setattr(os, "fdatasync", real)
        await first.append(b"after")
        assert first.log.failure is None
    async with Writing(tmp_path) as second:
        assert payloads(second.found) == [b"before", b"after"] == [payload for _, payload in first.durable]
        assert [one.number for one in second.found] == sorted({one.number for one in second.found})
        assert second.recovery.damaged_bytes == 0


async def test_after_a_failure_everybody_is_told_at_once_until_the_next_try(tmp_path, monkeypatch):
    async with Writing(tmp_path) as log:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
            with pytest.raises(LogFailed):
                await log.append(b"one")
        with pytest.raises(LogFailed):
            await log.append(b"two")  # the disk is not asked
        log.log._retry_at = 0.0
        await log.append(b"three")
    async with Writing(tmp_path) as second:
        assert payloads(second.found) == [b"three"]


async def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogFailed, match="cannot be opened"):
        Writing(tmp_path / "file" / "log")


async def test_two_servers_never_write_into_one_directory(tmp_path):
    async with Writing(tmp_path) as first:
        await first.append(b"one")
        with pytest.raises(LogTaken, match="another process"):
            Writing(tmp_path)
    async with Writing(tmp_path) as second:
        assert payloads(second.found) == [b"one"]


async def test_segments_that_the_store_has_counted_are_deleted_and_no_other(tmp_path):
    async with Writing(tmp_path, segment_bytes=200) as log:
        for one in range(30):
            await log.append(b"%02d" % one * 20)
        before = disk.segments(tmp_path)
        assert await log.log.trim(int(before[3].stem)) == 3
        assert disk.segments(tmp_path) == before[3:]
        await log.log.trim(10**9)
        assert len(disk.segments(tmp_path)) == 1
    async with Writing(tmp_path) as second:
        assert second.recovery.last == log.log.last


def test_a_record_that_looks_like_the_beginning_of_another_is_read_as_it_is():
    inner = frame(9, b"inner")
    data = header(b"e" * 16, 1) + frame(1, inner) + frame(2, b"next")
    assert [one.payload for one in read_frames(data)] == [inner, b"next"]


async def test_a_caller_that_goes_away_does_not_take_its_record_along(tmp_path):
    async with Writing(tmp_path) as log:
        waiting = asyncio.ensure_future(log.log.append(b"mine", None))
        await asyncio.sleep(0)
        waiting.cancel()
        await log.append(b"other")
        assert [payload for _, payload in log.durable] == [b"mine", b"other"]
