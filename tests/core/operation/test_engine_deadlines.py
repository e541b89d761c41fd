"""Deadlines of what waits for people."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan

from dbre.core.operation.context import StepContext
from dbre.core.operation.due import SweepScope, find_due, mark_dispatched
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

SCOPE = SweepScope(limit=10, again_after=timedelta(seconds=30), zones=None, is_patient=False)


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


async def sweep(bench: Bench, *operations: Scripted) -> int:
    runner, now = bench.runner(*operations), datetime.now(UTC)
    async with bench.store.read() as connection:
        found = await find_due(connection, SCOPE, now=now, leases=runner.leases)
    await bench.store.grouped(lambda one: mark_dispatched(one, found, SCOPE, now=now, leases=runner.leases))
    for one in found:
        await runner.run(one.operation_id)
    return len(found)


async def test_a_deadline_ends_what_a_person_paused(bench: Bench) -> None:
    async def pause(context: StepContext) -> None:
        await bench.change(context.token.operation_id, pause_requested_by="bob")

    operation = Scripted(bench.diary, {"once:a": pause})
    late = datetime.now(UTC) + timedelta(hours=1)
    one = await bench.submit(operation, plan("once:a", "once:b"), deadline=late)
    record = await bench.runner(operation).run(one)
    assert record is not None
    assert record.state == "paused"
    assert await sweep(bench, operation) == 0
    assert await bench.runner(operation).run(one) is None
    await bench.change(one, deadline=datetime.now(UTC))
    assert await sweep(bench, operation) == 1
    assert (await bench.record(one)).state == "compensated"
    assert bench.diary.lines == ["once:a", "undo once:a"]


async def test_a_deadline_cancels_what_waits_for_consent(bench: Bench) -> None:
    operation, late = Scripted(bench.diary), datetime.now(UTC) + timedelta(hours=1)
    one = await bench.submit(operation, plan("once:a"), deadline=late, state=OperationState.AWAITING_APPROVAL)
    assert await sweep(bench, operation) == 0
    assert await bench.runner(operation).run(one) is None
    await bench.change(one, deadline=datetime.now(UTC))
    assert await sweep(bench, operation) == 1
    record = await bench.record(one)
    assert (record.state, bench.diary.lines) == ("cancelled", [])
    assert "deadline" in (record.abort_reason or "")
