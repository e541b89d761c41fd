"""Walking an operation from its claim to its end, on both stores."""

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, Diary, Scripted, Verified, plan

from dbre.core.operation.context import StepContext
from dbre.core.operation.states import OperationState
from dbre.core.store import Store


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


async def test_does_every_step_in_order_and_succeeds(bench: Bench) -> None:
    operation = Scripted(bench.diary)
    operation_id = await bench.submit(operation, plan("once:a", "again:b", "blind:c"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state is OperationState.SUCCEEDED
    assert bench.diary.lines == ["once:a", "again:b", "blind:c"]
    assert [(one.name, one.state.value, one.tries) for one in record.steps] == [
        ("once:a", "done", 1),
        ("again:b", "done", 1),
        ("blind:c", "done", 1),
    ]
    assert record.outcome == {"result": {"wrote": "blind:c"}, "verifications": []}
    assert (record.owner, record.attempt, record.hold, await bench.locks()) == (None, 1, None, [])
    assert record.started_at is not None
    assert record.ended_at is not None
    assert await bench.audited() == [
        "operation.queued",
        "operation.running",
        "operation.step_started",
        "operation.step_done",
        "operation.step_started",
        "operation.step_done",
        "operation.step_started",
        "operation.step_done",
        "operation.succeeded",
    ]
    assert await bench.runner(operation).run(operation_id) is None


@pytest.mark.parametrize(("kind", "extra"), [(Scripted, 1), (Verified, 2)])
async def test_n_steps_cost_n_commits_and_one_and_a_verification_one_more(bench: Bench, kind, extra: int) -> None:
    operation = kind(bench.diary)
    operation_id = await bench.submit(operation, plan(*(f"once:{number}" for number in range(10))))
    commits = []
    bench.store.write_observer = lambda outcome, _: commits.append(outcome)
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state is OperationState.SUCCEEDED
    assert commits == ["committed"] * (10 + extra)


async def test_what_the_journal_cannot_hold_ends_the_step_and_not_its_worker(bench: Bench) -> None:
    async def odd(context: StepContext) -> Any:
        await context.progress(float("nan"), 2, "rows")
        await context.progress(1, float("inf"), "rows")
        return {"counts": {1: 1, "a": 2}}

    operation = Scripted(bench.diary, {"again:b": odd})
    operation_id = await bench.submit(operation, plan("once:a", "again:b"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.error is not None
    assert (record.state, record.error["code"]) == ("compensated", "operation.step_failed")
    assert record.steps[-2].progress is None or record.steps[-2].progress["total"] is None
    assert bench.diary.lines == ["once:a", "again:b", "undo again:b", "undo once:a"]
