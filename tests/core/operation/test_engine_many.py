"""Several workers, many operations, the same targets; and clocks that jump."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan

from dbre.core.clock import SystemClock
from dbre.core.operation.context import StepContext
from dbre.core.operation.lease import LeaseClock
from dbre.core.operation.local_dispatch import LocalDispatcher
from dbre.core.operation.sweeper import Sweeper
from dbre.core.store import Store
from dbre.testing.clock import FakeClock


async def test_operations_on_the_same_targets_never_overlap(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, Diary(tmp_path / "diary"))
    busy, most, count = Counter[str](), Counter[str](), 40

    async def enter(context: StepContext) -> None:
        target = context.plan.target
        busy[target] += 1
        most[target] = max(most[target], busy[target])
        await asyncio.sleep(0.01)
        busy[target] -= 1

    operation = Scripted(bench.diary, {"once:a": enter, "once:b": enter})
    ids = [await bench.submit(operation, plan("once:a", "once:b", target=f"cluster/{n % 4}")) for n in range(count)]
    workers = []
    for _ in range(4):
        runner = bench.runner(operation)
        local = LocalDispatcher(runner, concurrency=4)
        sweeper = Sweeper(store, local, SystemClock(), runner.leases)
        local.when_room = sweeper.wake
        workers.append((local, asyncio.create_task(sweeper.run())))
    try:
        async with asyncio.timeout(60):
            while {(await bench.record(one)).state.value for one in ids} != {"succeeded"}:  # noqa: ASYNC110 - rows
                await asyncio.sleep(0.2)
    finally:
        for local, task in workers:
            task.cancel()
            await local.stop(grace_seconds=0)
    assert set(most.values()) == {1}
    assert Counter(bench.diary.lines) == {"once:a": count, "once:b": count}
    assert await bench.locks() == []


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_by_an_hour_costs_no_lease(store: Store, tmp_path: Path, hours: int) -> None:
    clock = FakeClock()
    bench = Bench(store, Diary(tmp_path / "diary"), clock=clock)

    async def jump(context: StepContext) -> None:
        clock.step_wall(hours * 3600)
        other = bench.runner(operation, leases=LeaseClock(store))
        assert await other.run(context.token.operation_id) is None

    operation = Scripted(bench.diary, {"once:a": jump})
    record = await bench.runner(operation).run(await bench.submit(operation, plan("once:a", "once:b")))
    assert record is not None
    assert (record.state, record.attempt, bench.diary.lines) == ("succeeded", 1, ["once:a", "once:b"])


async def test_a_worker_that_stops_in_order_leaves_the_operation_to_the_next_at_once(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, Diary(tmp_path / "diary"))

    async def hang(context: StepContext) -> None:
        await asyncio.sleep(60)

    operation = Scripted(bench.diary, {"once:b": hang})
    operation_id = await bench.submit(operation, plan("once:a", "once:b", "once:c"))
    task = asyncio.create_task(bench.runner(operation).run(operation_id))
    async with asyncio.timeout(10):
        while "once:b" not in bench.diary.lines:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    operation.script = {}
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b", "once:c"])
