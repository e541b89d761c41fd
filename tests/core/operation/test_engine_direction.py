"""An operation that needed an operator while it was undone goes on being undone."""

import asyncio
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan, until

from dbre.core.operation.context import StepContext
from dbre.core.operation.model import Resolution
from dbre.core.operation.resolving import resolve
from dbre.core.store import Store


@pytest.mark.parametrize(
    ("resolution", "lines"),
    [
        (Resolution.REDO, ["once:a", "blind:b", "undo once:a"]),
        (Resolution.DONE, ["once:a", "blind:b", "undo blind:b", "undo once:a"]),
    ],
)
async def test_what_was_being_undone_does_not_go_forward(
    store: Store, tmp_path: Path, resolution: Resolution, lines: list[str]
) -> None:
    async def stuck(_: StepContext) -> None:
        await asyncio.sleep(9)

    bench = Bench(store, Diary(tmp_path / "diary"))
    operation = Scripted(bench.diary, {"blind:b": stuck})
    one = await bench.submit(operation, plan("once:a", "blind:b", "once:c"))
    task = asyncio.create_task(bench.runner(operation).run(one))
    await until(lambda: "blind:b" in bench.diary.lines)
    await bench.change(one, cancel_requested_by="bob")
    record = await task
    assert record is not None
    assert record.state == "needs_operator"
    await resolve(bench.store, bench.journal(), record, resolution, by="bob", reason="seen")
    record = await bench.runner(operation).run(one)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("compensated", lines)
