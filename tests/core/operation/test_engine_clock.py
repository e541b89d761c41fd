"""A wall clock that is set back by an hour while operations wait."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_kit import Bench, Diary, Scripted, plan

from dbre.core.operation.due import SweepScope, find_due
from dbre.core.store import Store

GATE = {"by": "freeze", "is_gate": True, "reason": "r", "since": "2026-11-21T00:00:00+00:00"}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


@pytest.mark.parametrize("state", ["queued", "paused"])
async def test_a_held_operation_is_not_held_for_longer_because_the_clock_was_set_back(bench: Bench, state: str) -> None:
    operation, now = Scripted(bench.diary), datetime.now(UTC)
    one = await bench.submit(operation, plan("once:a"))
    runner = bench.runner(operation)
    scope = SweepScope(limit=10, again_after=timedelta(seconds=30), zones=None, is_patient=False)
    for ahead, expected in ((timedelta(seconds=50), []), (timedelta(hours=1), [one])):
        await bench.change(one, state=state, hold=GATE, not_before=now + ahead)
        async with bench.store.read() as connection:
            found = await find_due(connection, scope, now=now, leases=runner.leases)
        assert [due.operation_id for due in found] == expected
        record = await runner.run(one)
        assert (record is not None) == bool(expected)


async def test_a_start_that_somebody_put_off_is_not_a_clock_set_back(bench: Bench) -> None:
    operation = Scripted(bench.diary)
    one = await bench.submit(operation, plan("once:a"), not_before=datetime.now(UTC) + timedelta(hours=1))
    assert await bench.runner(operation).run(one) is None
