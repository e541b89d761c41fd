import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from dbre.testing.clock import FakeClock


async def test_time_stands_until_it_is_advanced() -> None:
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC), monotonic=5.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 3))
        group.create_task(sleeper("early", 1))
        await asyncio.sleep(0)
        assert (clock.sleepers, woken) == (2, [])
        await clock.advance(2.5)
        assert woken == [("early", 6.0)]
        await clock.advance(10)
    assert woken == [("early", 6.0), ("late", 8.0)]
    assert (clock.monotonic(), clock.now()) == (17.5, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=12.5))


async def test_a_periodic_task_wakes_at_each_of_its_moments() -> None:
    clock, ticks = FakeClock(monotonic=0.0), []

    async def tick() -> None:
        while True:
            await clock.sleep(0.1)
            ticks.append(round(clock.monotonic(), 6))

    task = asyncio.create_task(tick())
    await clock.advance(1.05)
    task.cancel()
    assert ticks == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


async def test_wall_and_monotonic_time_step_apart() -> None:
    clock = FakeClock()
    start = clock.now()
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.step_wall(-3600)
    assert (clock.now(), clock.monotonic(), task.done()) == (start - timedelta(hours=1), 1000.0, False)
    clock.step_monotonic(10)
    await asyncio.sleep(0)
    await task
    assert clock.now() == start - timedelta(hours=1)
    with pytest.raises(ValueError, match="does not go back"):
        clock.step_monotonic(-1)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(5)
    assert clock.sleepers == 0
    await clock.sleep(0)
