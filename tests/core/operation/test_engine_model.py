"""Any order of crashes, failures, cancels and pauses, against a simple model of what may be true."""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Bench, Diary, Scripted, plan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import update

from dbre.core.clock import SystemClock
from dbre.core.errors import Refused
from dbre.core.operation import tables
from dbre.core.operation.context import StepContext
from dbre.core.operation.states import FINAL, OperationState, check_transition
from dbre.core.store import open_store

STEPS = ("once:a", "again:b", "once:c-", "once:d")


class Crash(BaseException):
    """The process dies here, as far as the journal can see."""


class CrashAt:
    def __init__(self, number: int) -> None:
        self.left = number

    async def _pass(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash

    async def before(self, commit: str) -> None:  # noqa: ARG002 - the protocol's
        await self._pass()

    async def after(self, commit: str) -> None:  # noqa: ARG002 - the protocol's
        await self._pass()


class OperationMachine(RuleBasedStateMachine):
    """One operation, with everything that may happen to it."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="model-"))
        self.seen: list[OperationState] = []
        self.failing: set[str] = set()
        self.cancelled = False

    def teardown(self) -> None:
        self.loop.run(self.stack.aclose())
        self.loop.close()
        shutil.rmtree(self.directory)

    @initialize()
    def begin(self) -> None:
        self.loop.run(self._begin())

    async def _begin(self) -> None:
        self.stack = AsyncExitStack()
        path = self.directory / "dbre.db"
        shutil.copy(self.template, path)
        store = await self.stack.enter_async_context(open_store(f"sqlite:///{path}", clock=SystemClock()))
        self.bench = Bench(store, Diary(self.directory / "diary"))
        self.operation = Scripted(self.bench.diary, before={name.rstrip("-"): self._maybe for name in STEPS})
        self.id: UUID = await self.bench.submit(self.operation, plan(*STEPS))
        await self._look()

    async def _maybe(self, context: StepContext) -> None:
        if context.step.name in self.failing:
            raise Refused("scripted to fail")

    async def _look(self) -> None:
        record = await self.bench.record(self.id)
        if not self.seen or self.seen[-1] is not record.state:
            self.seen.append(record.state)
        self.steps = record.steps

    async def _do(self, **changes: Any) -> None:
        await self.bench.change(self.id, **changes)

    async def _run(self, number: int) -> None:
        row = tables.operation.c
        async with self.bench.store.begin() as connection:  # whoever had it is dead
            await connection.execute(update(tables.operation).where(row.id == self.id).values(lease_until=0.0))
        try:
            await self.bench.runner(self.operation, hooks=CrashAt(number)).run(self.id)
        except Crash:
            return
        finally:
            await self._look()

    @property
    def is_final(self) -> bool:
        return self.seen[-1] in FINAL

    @rule(number=st.integers(0, 16))
    def work(self, number: int) -> None:
        self.loop.run(self._run(number))

    @rule(name=st.sampled_from(["again:b", "once:c", "once:d"]))
    def break_step(self, name: str) -> None:
        self.failing.add(name)

    @precondition(lambda self: not self.is_final)
    @rule()
    def cancel(self) -> None:
        self.cancelled = True
        self.loop.run(self._do(cancel_requested_by="bob"))

    @precondition(lambda self: self.seen[-1] in (OperationState.RUNNING, OperationState.QUEUED))
    @rule()
    def pause(self) -> None:
        self.loop.run(self._do(pause_requested_by="bob"))

    @precondition(lambda self: self.seen[-1] is OperationState.PAUSED)
    @rule()
    def resume(self) -> None:
        self.loop.run(self._resume())

    async def _resume(self) -> None:
        record, journal = await self.bench.record(self.id), self.bench.journal()
        changes = {"hold": None, "pause_requested_by": None}
        await self.bench.store.grouped(
            lambda connection: journal.move(connection, record, OperationState.QUEUED, actor="bob", changes=changes)
        )
        await self._look()

    @invariant()
    def effects_agree_with_the_state(self) -> None:
        lines = self.bench.diary.lines
        done = [line for line in lines if not line.startswith("undo")]
        undone = [line.removeprefix("undo ") for line in lines if line.startswith("undo")]
        names = [name.rstrip("-") for name in STEPS]
        assert done == names[: len(done)]  # in order, each once: a crash here never falls between effect and probe
        undoable = [name for name in reversed(done) if name != "once:c"]
        assert undone == undoable[: len(undone)]
        match self.seen[-1]:
            case OperationState.SUCCEEDED:
                assert (done, undone) == (names, [])
            case OperationState.COMPENSATED:
                assert undone == undoable
            case OperationState.FAILED | OperationState.CANCELLED:
                assert done == []
            case OperationState.RUNNING | OperationState.QUEUED | OperationState.PAUSED:
                assert undone == []
            case other:
                assert other is OperationState.COMPENSATING

    @invariant()
    def nothing_leaves_a_final_state_or_ends_badly_without_a_cause(self) -> None:
        assert not any(state in FINAL for state in self.seen[:-1])
        if self.seen[-1] in (OperationState.COMPENSATED, OperationState.FAILED, OperationState.CANCELLED):
            assert self.cancelled or self.failing


@pytest.mark.slow
def test_any_history_agrees_with_the_model(migrated_file: Path) -> None:
    OperationMachine.template = migrated_file
    settings_of = settings(
        max_examples=25, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    run_state_machine_as_test(OperationMachine, settings=settings_of)


def test_no_transition_that_is_not_in_the_table_is_made() -> None:
    allowed = 0
    for old in OperationState:
        for new in OperationState:
            try:
                check_transition(old, new)
            except ValueError:
                continue
            allowed += 1
            assert old not in FINAL
    assert allowed == 33
