"""What is not known stays unknown, and what cannot be undone is not begun once the operation is to end."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan, until

from dbre.core.errors import DbreError, Refused, Unreachable
from dbre.core.operation.context import StepContext
from dbre.core.operation.errors import LeaseLost
from dbre.core.store import Store


class Flaky(DbreError):
    """Says of itself that a retry may help, and that nothing happened."""

    retryable = True


class CutOff(Unreachable):
    """A retry may help, and nobody knows what happened."""

    retryable = True


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


async def die(context: StepContext) -> None:
    raise LeaseLost(context.token.operation_id, why="its worker is gone")


async def cancel(bench: Bench, context: StepContext) -> None:
    await bench.change(context.token.operation_id, cancel_requested_by="bob", abort_reason="cancelled by bob")


async def test_a_step_without_way_back_that_did_not_happen_is_not_begun_after_a_cancel(bench: Bench) -> None:
    operation = Scripted(bench.diary, before={"once:b": die})
    operation_id = await bench.submit(operation, plan("once:a", "once:b!", "once:c"))
    with pytest.raises(LeaseLost):
        await bench.runner(operation).run(operation_id)
    operation.before.clear()
    await bench.change(operation_id, owner=None, cancel_requested_by="bob", abort_reason="cancelled by bob")
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("compensated", ["once:a", "undo once:a"])
    assert record.abort_reason == "cancelled by bob"


async def test_a_step_without_way_back_is_not_tried_again_after_a_cancel(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def first(context: StepContext) -> None:
        await cancel(bench, context)
        operation.before.clear()
        raise Flaky("not yet")

    monkeypatch.setattr(random, "uniform", lambda _low, _high: 3.0)  # seconds between two tries: enough to hear of the cancel
    operation = Scripted(bench.diary, before={"once:b": first})
    operation_id = await bench.submit(operation, plan("once:a", "once:b!"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("compensated", ["once:a", "undo once:a"])


async def test_a_later_refusal_does_not_say_that_an_earlier_try_had_no_effect(bench: Bench) -> None:
    async def cut_off(context: StepContext) -> None:
        operation.before["again:b"] = refuse
        raise CutOff("the connection was lost after the command")

    async def refuse(context: StepContext) -> None:
        raise Refused("it is being done already")

    operation = Scripted(bench.diary, {"again:b": cut_off})
    operation_id = await bench.submit(operation, plan("once:a", "again:b"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.error is not None
    assert (record.state, record.error["code"]) == ("compensated", "core.refused")
    assert bench.diary.lines == ["once:a", "again:b", "undo again:b", "undo once:a"]


async def test_a_refusal_after_a_takeover_does_not_say_that_the_dead_worker_had_no_effect(bench: Bench) -> None:
    async def refuse(context: StepContext) -> None:
        raise Refused("it is being done already")

    operation = Scripted(bench.diary, {"again:b": die})
    operation_id = await bench.submit(operation, plan("once:a", "again:b"))
    with pytest.raises(LeaseLost):
        await bench.runner(operation).run(operation_id)
    operation.before["again:b"] = refuse
    await bench.change(operation_id, owner=None)
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("compensated", ["once:a", "again:b", "undo again:b", "undo once:a"])


async def test_a_worker_keeps_the_lease_while_its_step_goes_on_though_it_was_cancelled(bench: Bench) -> None:
    async def stubborn(context: StepContext) -> None:
        end = context.clock.monotonic() + 3.0
        while context.clock.monotonic() < end:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        bench.diary.write("late")

    operation = Scripted(bench.diary, {"again:a": stubborn})
    operation_id = await bench.submit(operation, plan("again:a"))
    task = asyncio.create_task(bench.runner(operation).run(operation_id))
    await until(lambda: bench.diary.has("again:a"))
    task.cancel()
    await asyncio.sleep(0.2)
    task.cancel()  # once more, as at the end of a process
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "late" not in bench.diary.lines
    assert (await bench.record(operation_id)).owner is not None
    assert await bench.runner(operation).run(operation_id) is None
    await until(lambda: bench.diary.has("late"))
