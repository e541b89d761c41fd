"""No step begins that gates were not asked about: after a takeover, a decision of a person, an upgrade of the plan."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from engine_kit import Bench, Diary, Scripted, plan
from sqlalchemy import insert
from test_engine_definitions import Upgraded

from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.operation import tables
from dbre.core.operation.context import StepContext
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.model import Resolution
from dbre.core.operation.reading import load
from dbre.core.operation.resolving import resolve
from dbre.core.store import Store


class Says:
    """Says what it is told to, and remembers what it was asked about."""

    name, summary, asks_always = "says", "for a test", True

    def __init__(self) -> None:
        self.verdict = GateVerdict.ALLOW
        self.boundary_seconds = 0.0
        self.asked: list[GateQuestion] = []
        self.only: str | None = None  # allows the plan of this hash alone

    def fails_open(self, _: GateQuestion) -> bool:
        return False

    async def decide(self, question: GateQuestion) -> GateDecision:
        self.asked.append(question)
        if question.moment is Moment.BOUNDARY:
            await asyncio.sleep(self.boundary_seconds)
        is_other = self.only is not None and question.planned.hash != self.only
        verdict = GateVerdict.HOLD if is_other else self.verdict
        return GateDecision(gate=self.name, verdict=verdict, reason="so it was wanted")


@pytest.fixture
def gate() -> Says:
    return Says()


@pytest.fixture
def bench(store: Store, tmp_path: Path, gate: Says) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"), gates=(gate,))


class DiesAfter:
    """Hooks of a worker that is gone after the first commit of that name."""

    def __init__(self, commit: str) -> None:
        self._commit = commit

    async def before(self, commit: str) -> None:
        """Nothing."""

    async def after(self, commit: str) -> None:
        if commit == self._commit:
            raise LeaseLost(UUID_OF_NOBODY, why="its worker is gone")


UUID_OF_NOBODY = UUID(int=0)


@pytest.mark.parametrize(("verdict", "state"), [(GateVerdict.REFUSE, "compensated"), (GateVerdict.HOLD, "paused")])
async def test_a_worker_that_takes_over_between_two_steps_asks_the_gates(
    bench: Bench, gate: Says, verdict: GateVerdict, state: str
) -> None:
    operation = Scripted(bench.diary)
    operation_id = await bench.submit(operation, plan("once:a", "once:b"))
    gate.boundary_seconds = 0.6  # so the first step is recorded alone, and its worker dies before they answer
    with pytest.raises(LeaseLost):
        await bench.runner(operation, hooks=DiesAfter("do 0 done")).run(operation_id)
    gate.verdict = verdict
    await bench.change(operation_id, owner=None)
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, "once:b" in bench.diary.lines) == (state, False)


async def test_what_a_person_resolved_waits_for_gates_before_the_next_step(bench: Bench, gate: Says) -> None:
    async def break_off(context: StepContext) -> None:
        raise ValueError("a defect")

    operation = Scripted(bench.diary, {"blind:a": break_off})
    operation_id = await bench.submit(operation, plan("blind:a", "once:b"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state == "needs_operator"
    gate.verdict = GateVerdict.HOLD
    await resolve(bench.store, bench.journal(), record, Resolution.DONE, by="bob", reason="it is there")
    held = await bench.runner(operation).run(operation_id)
    assert held is not None
    assert (held.state, held.hold and held.hold.by, bench.diary.lines) == ("paused", "says", ["blind:a"])


async def test_an_upgraded_plan_is_shown_to_the_gates_before_it_runs(bench: Bench, gate: Says) -> None:
    operation_id = await bench.submit(Scripted(bench.diary), plan("once:a", "blind:b"))
    gate.only = (await bench.record(operation_id)).plan_hash
    assert await bench.runner(Upgraded(bench.diary)).run(operation_id) is None
    record = await bench.record(operation_id)
    assert (record.state, record.owner, record.hold and record.hold.by) == ("queued", None, "says")
    assert record.plan_hash == gate.asked[-1].planned.hash != gate.only
    assert (bench.diary.lines, await bench.locks()) == ([], [])


async def test_an_upgraded_plan_that_gates_allow_runs_at_once(bench: Bench, gate: Says) -> None:
    operation_id = await bench.submit(Scripted(bench.diary), plan("once:a", "blind:b"))
    record = await bench.runner(Upgraded(bench.diary)).run(operation_id)
    assert record is not None
    assert (record.state, record.attempt) == ("succeeded", 2)
    assert bench.diary.lines == ["once:a", "careful:b", "again:z"]


async def test_an_override_that_comes_while_a_step_runs_counts_at_its_end(bench: Bench, gate: Says) -> None:
    async def bypass(context: StepContext) -> None:
        facts = {"gate": "says", "by": "root", "reason": "it must", "ticket": None, "at": datetime.now(UTC)}
        row = {"operation_id": context.token.operation_id} | facts
        async with bench.store.begin() as connection:
            await connection.execute(insert(tables.gate_override).values(row))
        gate.verdict = GateVerdict.REFUSE

    operation = Scripted(bench.diary, {"once:a": bypass})
    operation_id = await bench.submit(operation, plan("once:a", "once:b"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b"])
    async with bench.store.read() as connection:
        assert (await load(connection, operation_id)).gates[-1].is_overridden
