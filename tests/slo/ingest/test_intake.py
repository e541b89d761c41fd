"""The intake: durable when it answers, counted exactly once, over resends, failures and restarts."""

import asyncio
import errno
import os
from dataclasses import replace

import pytest
from ingest_kit import FLEET, NOW_MS, KeepingLatencies, KeepingSink, events, running

from dbre.capabilities.slo.ingest.errors import BadBatch, IntakeUnavailable
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.intake import SOURCE, Acknowledgement, Intake
from dbre.capabilities.slo.ingest.limits import IntakeLimits
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.ingest.wal import disk
from dbre.capabilities.slo.ingest.wal.errors import LogTaken
from dbre.capabilities.slo.ingest.wal.frames import frame
from dbre.testing.clock import FakeClock


async def test_a_batch_is_counted_and_marked(tmp_path):
    sink, latencies = KeepingSink(), KeepingLatencies()
    async with running(tmp_path, sink, latencies=latencies) as intake:
        taken = await intake.accept(events(10, bad=3, ms=5.0), producer="checkout", sequence=1)
        assert taken == Acknowledgement(accepted=10)
        assert sink.counts["requests", "orders", "", "good"] == 7
        assert sink.counts["requests", "orders", "", "bad"] == 3
        assert sink.marks[SOURCE].endswith(":2")
        assert latencies.histogram.total == 10
        assert intake.health.events == 10


async def test_a_batch_that_is_sent_again_is_known(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        await intake.accept(events(10), producer="a", sequence=7)
        again = await intake.accept(events(10), producer="a", sequence=7)
        assert again.is_duplicate
        assert (await intake.accept(events(10), producer="b", sequence=7)).accepted == 10
        assert (await intake.accept(events(10), producer="a", sequence=6)).accepted == 10  # it was overtaken
        assert sink.good == 30
        assert intake.health.duplicate_batches == 1


async def test_a_batch_that_is_sent_twice_at_once_is_counted_once_and_both_wait_for_the_disk(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        both = await asyncio.gather(*(intake.accept(events(10), producer="a", sequence=1) for _ in range(2)))
        assert [one.is_duplicate for one in both] == [False, True]
        assert sink.good == 10


async def test_without_a_number_a_batch_counts_each_time(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        for _ in range(2):
            await intake.accept(events(10), producer="a", sequence=None)
        assert sink.good == 20


async def test_a_successor_counts_what_the_store_lacks_and_nothing_else(tmp_path):
    first, latencies = KeepingSink(), KeepingLatencies()
    async with running(tmp_path, first, latencies=latencies) as intake:
        await intake.accept(events(10, ms=1.0), producer="a", sequence=1)
        first.store()  # only this one
        latencies.stored = latencies.number
        await intake.accept(events(100, ms=1.0), producer="a", sequence=2)
    second, heirs = first.restarted(), KeepingLatencies(stored=latencies.stored)
    async with running(tmp_path, second, latencies=heirs) as intake:
        assert second.good == 100
        assert heirs.histogram.total == 100
        assert intake.health.replayed_batches == 1
        for sequence in (1, 2):
            assert (await intake.accept(events(10), producer="a", sequence=sequence)).is_duplicate
        await intake.accept(events(1000), producer="a", sequence=3)
        second.store()
    third = second.restarted()
    async with running(tmp_path, third) as intake:
        assert third.good == 0
        assert (await intake.accept(events(1), producer="a", sequence=3)).is_duplicate


async def test_numbers_are_known_also_after_their_segments_are_gone(tmp_path):
    sink = KeepingSink()
    small = IntakeLimits(segment_bytes=200)
    async with running(tmp_path, sink, limits=small) as intake:
        for sequence in range(20):
            await intake.accept(events(1), producer="a", sequence=sequence)
        sink.store()
        intake._latencies.stored = 10**9
        await intake._tick()
        assert len(disk.segments(tmp_path)) == 1
    async with running(tmp_path, sink.restarted(), limits=small) as intake:
        assert all([(await intake.accept(events(1), producer="a", sequence=one)).is_duplicate for one in range(20)])


async def test_nothing_is_deleted_that_the_histograms_still_need(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink, limits=IntakeLimits(segment_bytes=200)) as intake:
        for sequence in range(20):
            await intake.accept(events(1, ms=1.0), producer="a", sequence=sequence)
        sink.store()
        before = disk.segments(tmp_path)
        await intake._tick()
        assert disk.segments(tmp_path) == before


async def test_a_batch_whose_write_failed_is_welcome_again_and_counted_once(tmp_path, monkeypatch):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        await intake.accept(events(1), producer="a", sequence=1)
        sink.store()
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
            with pytest.raises(IntakeUnavailable, match="Input/output error") as refused:
                await intake.accept(events(10), producer="a", sequence=2)
        assert refused.value.context == {"retry_after_seconds": 5}
        assert not intake.health.is_ready
        assert sink.good == 1
        intake._log._retry_at = 0.0
        assert (await intake.accept(events(10), producer="a", sequence=2)).accepted == 10
        assert intake.health.is_ready
    heir = sink.restarted()
    async with running(tmp_path, heir):
        assert heir.good == 10  # the failed write left the same record in another segment: it is void


async def test_too_old_and_too_new_events_are_told_and_the_others_counted(tmp_path):
    sink = KeepingSink()
    month = 30 * 86_400_000
    moments = [NOW_MS - month - 1, NOW_MS - month, NOW_MS + 300_000, NOW_MS + 300_001, -5, NOW_MS]
    columns = EventColumns(at_ms=moments, is_good=[True] * 6, slo=["requests@orders"] * 6)
    async with running(tmp_path, sink) as intake:
        taken = await intake.accept(columns, producer="a", sequence=1)
        assert (taken.accepted, taken.rejected) == (3, 3)
        assert [one.row for one in taken.rejections] == [0, 3, 4]
        assert sink.good == 3


async def test_a_full_queue_puts_senders_off(tmp_path):
    async with running(tmp_path, limits=IntakeLimits(queued_bytes=-1)) as intake:
        with pytest.raises(IntakeUnavailable, match="wait for the disk; the limit is -1") as refused:
            await intake.accept(events(1), producer="a", sequence=1)
        assert refused.value.retry_after_seconds == 1


async def test_a_disk_that_is_nearly_full_puts_senders_off_and_says_so(tmp_path):
    async with running(tmp_path, limits=IntakeLimits(free_bytes=2**62)) as intake:
        await intake._tick()
        with pytest.raises(IntakeUnavailable, match=f"bytes are free on its disk; the limit is {2**62}"):
            await intake.accept(events(1), producer="a", sequence=1)
        assert not intake.health.is_ready


async def test_a_disk_that_hangs_holds_nobody_forever(tmp_path, monkeypatch):
    async with running(tmp_path, limits=IntakeLimits(ack_seconds=0.05)) as intake:
        await intake.accept(events(1), producer="a", sequence=1)
        released, real = asyncio.Event(), os.fdatasync
        loop = asyncio.get_running_loop()

        def hang(descriptor: int) -> None:
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result(60)
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", hang)
        with pytest.raises(IntakeUnavailable, match=r"did not answer within 0\.05 s"):
            await intake.accept(events(1), producer="a", sequence=2)
        released.set()


async def test_before_the_log_is_open_nothing_is_taken_in(tmp_path):
    intake = Intake(tmp_path, matcher=Matcher((), FLEET), sink=KeepingSink(), latencies=KeepingLatencies(), clock=FakeClock())
    with pytest.raises(IntakeUnavailable, match="not open yet"):
        await intake.accept(events(1), producer="a", sequence=1)


async def test_a_second_server_ends_at_once(tmp_path):
    async with running(tmp_path):
        with pytest.raises(LogTaken):
            async with running(tmp_path):
                pass


async def test_a_batch_that_cannot_be_read_is_never_welcome(tmp_path):
    async with running(tmp_path) as intake:
        with pytest.raises(BadBatch, match="differ in length"):
            await intake.accept(EventColumns(at_ms=[1], is_good=[]), producer="a", sequence=1)


async def test_a_store_of_before_counts_what_it_lacks_and_one_ahead_of_the_log_nothing_twice(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        await intake.accept(events(10), producer="a", sequence=1)
        epoch = intake._log.epoch.hex()
    ahead = KeepingSink(stored={SOURCE: f"{epoch}:5000"})  # the directory was restored from a backup
    async with running(tmp_path, ahead) as intake:
        assert ahead.good == 0
        await intake.accept(events(3), producer="a", sequence=2)
        assert ahead.marks[SOURCE] == f"{epoch}:5002"
    behind = KeepingSink(stored={SOURCE: f"{'0' * 32}:900"})  # the mark of another log
    async with running(tmp_path, behind):
        assert behind.good == 13


async def test_a_sign_of_life_counts_nothing_and_is_heard(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        taken = intake.alive(["requests@orders", "nothing@orders"])
        assert (taken.accepted, taken.rejected) == (1, 1)
        assert sink.alive == [("requests", "orders")]
        assert sink.good == 0


async def test_a_producer_whose_events_are_all_invalid_is_heard(tmp_path):
    sink = KeepingSink()
    async with running(tmp_path, sink) as intake:
        await intake.accept(events(2), producer="a", sequence=1)
        assert sink.alive == []  # valid events are a sign of life by themselves
        await intake.accept(replace(events(3), is_valid=[False] * 3), producer="a", sequence=2)
        assert sink.alive == [("requests", "orders")]


async def test_a_record_that_only_a_newer_version_can_read_is_not_skipped(tmp_path):
    async with running(tmp_path) as intake:
        await intake.accept(events(1), producer="a", sequence=1)
        epoch = intake._log.epoch
    disk.SegmentFile(tmp_path, epoch=epoch, first=3).write(frame(3, b"\x93\x63\x01\x02"))  # a tag that nobody knows
    sink = KeepingSink()
    intake = Intake(tmp_path, matcher=Matcher((), FLEET), sink=sink, latencies=KeepingLatencies(), clock=(clock := FakeClock()))
    task = asyncio.ensure_future(intake.run())
    try:
        async with asyncio.timeout(30):
            while "cannot be read" not in (intake.health.problem or ""):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            await clock.advance(60)
            await asyncio.sleep(0.05)
        assert not intake.health.is_ready
        assert sink.good <= 1  # trying again counts nothing again
    finally:
        task.cancel()
        await asyncio.wait({task})
