"""Operations as tasks of one process: order, bound, no double run, and the end in order."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest
from dispatch_kit import number
from structlog.testing import capture_logs

from dbre.core.errors import DbreError
from dbre.core.operation.dispatch import Due
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.local_dispatch import LocalDispatcher


class Runner:
    """Runs until it is let on, and remembers the order."""

    def __init__(self) -> None:
        self.begun: list[UUID] = []
        self.ended: list[UUID] = []
        self.cancelled: list[UUID] = []
        self.most = 0
        self.on = asyncio.Event()
        self.trouble: Callable[[UUID], BaseException] | None = None

    async def drive(self, operation_id: UUID) -> bool:
        self.begun.append(operation_id)
        self.most = max(self.most, len(self.begun) - len(self.ended) - len(self.cancelled))
        if self.trouble is not None:
            self.ended.append(operation_id)
            raise self.trouble(operation_id)
        try:
            await self.on.wait()
        except asyncio.CancelledError:
            self.cancelled.append(operation_id)
            raise
        self.ended.append(operation_id)
        return True


def due(value: int, priority: int = 4) -> Due:
    return Due(operation_id=number(value), zone=None, priority=priority)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_most_urgent_begin_first_and_never_more_than_so_many_at_once() -> None:
    runner = Runner()
    local = LocalDispatcher(runner, concurrency=2)
    assert await local.carry([due(1, 4), due(2, 4), due(3, 0), due(4, 9), due(5, 4)]) == ()
    await turns()
    assert runner.begun == [number(4), number(1)]
    assert local.running == 2
    runner.on.set()
    await local.idle()
    assert runner.begun == [number(one) for one in (4, 1, 2, 5, 3)]
    assert runner.most == 2


async def test_there_is_room_for_those_that_run_and_as_many_behind_them() -> None:
    runner, woken = Runner(), 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    local = LocalDispatcher(runner, concurrency=3, when_room=wake)
    assert local.room == 6
    await local.carry([due(one) for one in range(1, 6)])
    await turns()
    assert (local.room, local.running, woken) == (1, 3, 0)
    runner.on.set()
    await local.idle()
    assert (local.room, local.running, woken) == (6, 0, 5)


async def test_an_operation_that_waits_or_runs_is_not_run_beside_itself() -> None:
    runner = Runner()
    local = LocalDispatcher(runner, concurrency=1)
    for _ in range(3):
        await local.dispatch(number(1), zone=None, priority=4)
        await local.carry([due(2), due(2)])
        await turns()
    await local.run(number(1), 4)  # a repeated message: returns at once
    runner.on.set()
    await local.idle()
    assert runner.begun == [number(1), number(2)]
    await local.dispatch(number(1), zone=None, priority=4)  # later, it may be told of again
    await local.idle()
    assert runner.begun[-1] == number(1)


async def test_run_returns_when_the_operation_has_ended() -> None:
    runner = Runner()
    local = LocalDispatcher(runner)
    running = asyncio.create_task(local.run(number(1), 4))
    await turns()
    assert not running.done()
    runner.on.set()
    await asyncio.wait_for(running, 1)
    assert runner.ended == [number(1)]


async def test_stopping_begins_nothing_more_and_lets_what_runs_end() -> None:
    runner = Runner()
    local = LocalDispatcher(runner, concurrency=1)
    await local.carry([due(1)])
    behind = asyncio.create_task(local.run(number(2), 4))
    await turns()
    stopping = asyncio.create_task(local.stop(grace_seconds=5))
    await turns()
    assert behind.done(), "whoever waits for one that does not begin waits no longer"
    assert local.room == 0
    assert await local.carry([due(3)]) == [due(3)]
    await local.dispatch(number(4), zone=None, priority=9)
    assert not stopping.done()
    runner.on.set()
    await stopping
    assert (runner.begun, runner.ended, runner.cancelled) == ([number(1)], [number(1)], [])


async def test_after_the_grace_time_what_runs_is_left_to_others() -> None:
    runner = Runner()
    local = LocalDispatcher(runner)
    await local.carry([due(1)])
    await turns()
    with capture_logs() as logs:
        began = asyncio.get_running_loop().time()
        await local.stop(grace_seconds=0.1)
        seconds = asyncio.get_running_loop().time() - began
    assert runner.cancelled == [number(1)]
    assert 0.1 <= seconds < 1
    assert [(one["event"], one["operations"]) for one in logs] == [("operations_left_to_others", [str(number(1))])]


@pytest.mark.parametrize(
    ("trouble", "event", "told"),
    [
        (lambda one: LeaseLost(one, why="another has it"), "operation_lost", "another has it"),
        (lambda _: DbreError("the store is away\x1b[2J"), "operation_run_failed", "DbreError: the store is away"),
        (lambda _: ZeroDivisionError("division by zero"), "operation_run_failed", "ZeroDivisionError: division by zero"),
    ],
)
async def test_trouble_of_one_operation_is_logged_and_ends_no_other(
    trouble: Callable[[UUID], BaseException], event: str, told: str
) -> None:
    runner = Runner()
    runner.trouble = trouble
    local = LocalDispatcher(runner, concurrency=1)
    with capture_logs() as logs:
        await local.carry([due(1), due(2)])
        await local.idle()
    assert runner.begun == [number(1), number(2)]
    assert [one["event"] for one in logs] == [event, event]
    assert told in str(logs[0])
    assert "\x1b" not in str(logs[0].get("error", ""))
    assert local.room == 2


async def test_no_place_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LocalDispatcher(Runner(), concurrency=0)
