"""Work that does not end when it is told to, and a look at what people want that fails."""

import asyncio
import time
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan, until

from dbre.core.operation import watched
from dbre.core.operation.context import StepContext
from dbre.core.operation.control_watch import ControlWatch
from dbre.core.store import Store


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


@pytest.mark.parametrize("name", ["again:b", "once:b"])
async def test_nothing_is_done_beside_a_step_that_ignores_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(watched, "_FAREWELL_SECONDS", 0.3)
    is_let_go = asyncio.Event()

    async def stubborn(_: StepContext) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and not is_let_go.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    operation = Scripted(bench.diary, {name: stubborn})
    one = await bench.submit(operation, plan("once:a", name))
    task = asyncio.create_task(bench.runner(operation).run(one))
    await until(lambda: name in bench.diary.lines)
    await bench.change(one, cancel_requested_by="bob")
    record = await task
    assert record is not None
    assert (record.state, record.owner) == ("needs_operator", None)
    assert bench.diary.lines == ["once:a", name]
    assert await bench.locks() == ["cluster/orders"]
    is_let_go.set()


async def test_a_look_that_fails_is_not_the_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    look, failures = ControlWatch._look, [ValueError("a row that nobody can read")]

    async def fails_first(watch: ControlWatch) -> None:
        if failures:
            raise failures.pop()
        await look(watch)

    async def stuck(_: StepContext) -> None:
        await asyncio.sleep(9)

    monkeypatch.setattr(ControlWatch, "_look", fails_first)
    operation = Scripted(bench.diary, {"once:a": stuck})
    one = await bench.submit(operation, plan("once:a"))
    task = asyncio.create_task(bench.runner(operation).run(one))
    await until(lambda: not failures)
    await bench.change(one, cancel_requested_by="bob")
    record = await asyncio.wait_for(task, 5)
    assert record is not None
    assert record.state == "compensated"
