"""Events of code that may not wait."""

import asyncio
import contextlib
import random

import pytest
from event_kit import CLOCK, until

from dbre.core.events import EventLog, recent
from dbre.core.events.buffer import EventBuffer
from dbre.core.store import Store
from dbre.core.store.errors import StoreBusy
from dbre.testing.clock import FakeClock


async def _subjects(store: Store) -> list[str]:
    async with store.read() as connection:
        return [one.subject for one in reversed(await recent(connection, 1000))]


async def test_what_is_put_is_written_in_order(store: Store) -> None:
    buffer = EventBuffer(store, EventLog(CLOCK), CLOCK)
    task = asyncio.create_task(buffer.run())
    for number in range(50):
        buffer.put("test.happened", f"{number:02}", {})
        if number % 7 == 0:
            await asyncio.sleep(0.01)

    async def is_written() -> bool:
        return await _subjects(store) == [f"{number:02}" for number in range(50)]

    await until(is_written)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_waits_when_the_process_is_told_to_end_is_still_written(store: Store) -> None:
    buffer = EventBuffer(store, EventLog(CLOCK), CLOCK)
    task = asyncio.create_task(buffer.run())
    await asyncio.sleep(0)
    buffer.put("control_plane.stopped", "here", {})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _subjects(store) == ["here"]


async def test_a_stop_in_the_middle_of_writing_neither_loses_nor_doubles_an_event(store: Store) -> None:
    chance = random.Random(2)
    for number in range(60):
        buffer = EventBuffer(store, EventLog(CLOCK), CLOCK)
        buffer.put("test.happened", f"{number:02}", {})
        task = asyncio.create_task(buffer.run())
        await asyncio.sleep(chance.uniform(0, 0.005))  # before, within and after the transaction and its commit
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert await _subjects(store) == [f"{number:02}" for number in range(60)]


async def test_an_event_bears_the_moment_at_which_it_happened_not_that_of_its_writing(store: Store) -> None:
    clock = FakeClock()
    buffer = EventBuffer(store, EventLog(clock), clock)
    happened = clock.now()
    buffer.put("test.happened", "late", {})
    await clock.advance(1200)  # the store was away for so long
    await buffer.write_waiting()
    async with store.read() as connection:
        assert [one.at for one in await recent(connection)] == [happened]


def test_a_kind_that_cannot_be_written_is_refused_where_it_is_put(store: Store) -> None:
    buffer = EventBuffer(store, EventLog(CLOCK), CLOCK)
    with pytest.raises(ValueError, match="not a kind of event"):
        buffer.put("Nonsense", "here", {})
    assert buffer.waiting_count == 0


async def test_while_the_store_is_away_events_wait_and_the_oldest_are_dropped_beyond_the_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.core.events.buffer._CAPACITY", 3)
    monkeypatch.setattr("dbre.core.events.buffer._RETRY_SECONDS", 0.01)
    log, write, refusals = EventLog(CLOCK), EventLog.write, 5

    async def sometimes(*arguments, **options):
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StoreBusy("locked")
        return await write(log, *arguments, **options)

    monkeypatch.setattr(log, "write", sometimes)
    buffer = EventBuffer(store, log, CLOCK)
    for number in range(5):
        buffer.put("test.happened", f"{number}", {})
    task = asyncio.create_task(buffer.run())

    async def is_written() -> bool:
        return await _subjects(store) == ["2", "3", "4"]

    await until(is_written)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
