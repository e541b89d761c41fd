"""Histograms in the state store: written once, read for any time, made smaller as they get old."""

import asyncio

import pytest
from ingest_kit import NOW
from sqlalchemy import func, select

from dbre.capabilities.slo.ingest import latency_store
from dbre.capabilities.slo.ingest.aggregation import LatencyPart
from dbre.capabilities.slo.ingest.histogram import LatencyHistogram
from dbre.capabilities.slo.ingest.latency_repository import forget_latencies, read_latency, roll_up_oldest_hour
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.tables import slo_latencies
from dbre.core.errors import StoreError
from dbre.testing.clock import FakeClock

MINUTE = int(NOW.timestamp()) // 60
EPOCH = b"0123456789abcdef"


def part(*ms: float, minute: int = MINUTE, group: str = "") -> LatencyPart:
    return LatencyPart("fast", "orders", group, minute, LatencyHistogram.of(ms))


def latencies(store, max_groups: int = 100) -> LatencyStore:
    return LatencyStore(store, FakeClock(NOW), max_groups=lambda _: max_groups)


async def read(store, *, group=None, since=MINUTE - 60, end=MINUTE + 1):
    async with store.read() as connection:
        return await read_latency(connection, slo="fast", cluster="orders", group=group, since_minute=since, end_minute=end)


async def rows(store) -> int:
    async with store.read() as connection:
        return (await connection.execute(select(func.count()).select_from(slo_latencies))).scalar_one()


async def test_what_is_written_twice_adds_up(store):
    found = latencies(store)
    found.take([part(1.0, 2.0)], epoch=EPOCH, number=1)
    await found.finish()
    found.take([part(2.0), part(5.0, minute=MINUTE - 1)], epoch=EPOCH, number=4)
    await found.finish()
    assert await read(store) == LatencyHistogram.of([1.0, 2.0, 2.0, 5.0])
    assert await read(store, since=MINUTE) == LatencyHistogram.of([1.0, 2.0, 2.0])
    assert found.stored_number(EPOCH) == 4
    assert found.stored_number(b"another") == 0
    successor = latencies(store)
    await successor.start()
    assert successor.stored_number(EPOCH) == 4


async def test_a_commit_whose_answer_was_lost_is_not_made_again(sqlite_store, monkeypatch):
    found = latencies(sqlite_store)
    found.take([part(1.0)], epoch=EPOCH, number=1)
    real = sqlite_store.begin

    class Lost:
        def __init__(self) -> None:
            self._inner = real()

        async def __aenter__(self):
            return await self._inner.__aenter__()

        async def __aexit__(self, *details):
            await self._inner.__aexit__(*details)
            raise StoreError("the connection broke during the commit")

    monkeypatch.setattr(sqlite_store, "begin", Lost)
    with pytest.raises(StoreError):
        await found.finish()
    monkeypatch.setattr(sqlite_store, "begin", real)
    found.take([part(7.0)], epoch=EPOCH, number=2)  # gathers behind the batch in doubt
    await found.finish()
    assert await read(sqlite_store) == LatencyHistogram.of([1.0, 7.0])
    assert found.stored_number(EPOCH) == 2


async def test_groups_are_read_alone_and_together_and_are_limited(sqlite_store):
    found = latencies(sqlite_store, max_groups=2)
    found.take([part(float(one), group=f"tenant-{one}") for one in range(1, 6)], epoch=EPOCH, number=1)
    await found.finish()
    assert await read(sqlite_store, group="tenant-1") == LatencyHistogram.of([1.0])
    assert await read(sqlite_store, group="__other__") == LatencyHistogram.of([3.0, 4.0, 5.0])
    assert (await read(sqlite_store)).total == 5


async def test_memory_is_limited(sqlite_store, monkeypatch):
    monkeypatch.setattr(latency_store, "_MAX_PENDING", 10)
    found = latencies(sqlite_store)
    found.take([part(1.0, group=f"tenant-{one}") for one in range(50)], epoch=EPOCH, number=1)
    assert len(found._pending) == 11
    await found.finish()
    assert (await read(sqlite_store)).total == 50


async def test_old_minutes_become_hours_without_loss(store):
    found = latencies(store)
    hour = MINUTE // 60 * 60
    found.take([part(float(one + 1), minute=hour - 120 + one) for one in range(120)], epoch=EPOCH, number=1)
    await found.finish()
    before = await read(store, since=hour - 120)
    async with store.begin() as connection:
        assert await roll_up_oldest_hour(connection, store, before_minute=hour)
        assert await roll_up_oldest_hour(connection, store, before_minute=hour)
        assert not await roll_up_oldest_hour(connection, store, before_minute=hour)
    assert await rows(store) == 2
    assert await read(store, since=hour - 120) == before
    found.take([part(9.0, minute=hour - 90)], epoch=EPOCH, number=2)  # late: its hour is made anew
    await found.finish()
    async with store.begin() as connection:
        assert await roll_up_oldest_hour(connection, store, before_minute=hour)
    assert (await read(store, since=hour - 120)).total == 121
    async with store.begin() as connection:
        await forget_latencies(connection, before_minute=hour + 1)
    assert await rows(store) == 0


async def test_a_tick_writes_now_and_then(sqlite_store):
    found = latencies(sqlite_store)
    await found.tick()
    found.take([part(1.0)], epoch=EPOCH, number=1)
    await found.tick()
    assert await rows(sqlite_store) == 0
    found._clock.step_monotonic(16)
    await found.tick()
    assert await rows(sqlite_store) == 1


async def test_histograms_that_never_pause_do_not_hold_up_the_upkeep(sqlite_store):
    found, number = latencies(sqlite_store), 0
    found.take([part(1.0)], epoch=EPOCH, number=1)

    async def send() -> None:
        nonlocal number
        while True:
            number += 1
            found.take([part(1.0)], epoch=EPOCH, number=number)
            await asyncio.sleep(0)

    sender = asyncio.create_task(send())
    try:
        async with asyncio.timeout(30):
            await found.tick()
    finally:
        sender.cancel()
    await found.finish()
    assert found.stored_number(EPOCH) == number == (await read(sqlite_store)).total - 1
