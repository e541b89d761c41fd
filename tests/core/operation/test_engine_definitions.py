"""A plan that was stored by other code than the one that goes on with it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, Diary, Scripted, plan

from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import Handler, step
from dbre.core.operation.model import Resolution
from dbre.core.operation.plan import PlannedOperation, Step
from dbre.core.operation.resolving import resolve
from dbre.core.operation.states import OperationState
from dbre.core.store import Store


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


class Renamed(Scripted):
    """The next version: ``blind`` is called ``careful`` now, and something is done before the end."""

    version = 2

    @classmethod
    def handlers(cls) -> Mapping[str, Handler]:
        return {name: one for name, one in super().handlers().items() if name != "blind"}

    @step(timeout_seconds=10, idempotent=True)
    async def careful(self, context: StepContext) -> Any:
        return await self._effect(context.step.name, context)


class Upgraded(Renamed):
    """It knows how."""

    def upgrade(self, planned: PlannedOperation) -> PlannedOperation:
        steps = [replace(one, name=one.name.replace("blind", "careful")) for one in planned.plan.steps]
        steps.append(Step("again:z", undo="erase"))
        return replace(planned, definition_version=2, plan=replace(planned.plan, steps=tuple(steps)))


class Reordered(Renamed):
    """It upgrades to a plan that begins otherwise."""

    def upgrade(self, planned: PlannedOperation) -> PlannedOperation:
        return replace(planned, definition_version=2, plan=plan("again:z", "once:a"))


async def paused_after_a(bench: Bench) -> Any:
    async def pause(context: StepContext) -> None:
        await bench.change(context.token.operation_id, pause_requested_by="bob")

    operation = Scripted(bench.diary, {"once:a": pause})
    operation_id = await bench.submit(operation, plan("once:a", "blind:b"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state == "paused"
    await bench.store.grouped(
        lambda connection: bench.journal().move(connection, record, OperationState.QUEUED, actor="bob", changes={"hold": None})
    )
    return operation_id


async def test_code_that_lacks_a_step_leaves_it_to_a_person_with_the_difference(bench: Bench) -> None:
    operation_id = await paused_after_a(bench)
    record = await bench.runner(Renamed(bench.diary)).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("needs_operator", ["once:a"])
    assert record.error is not None
    assert record.error["code"] == "operation.definition_changed"
    assert record.error["context"]["difference"][0] == "- blind"
    assert "+ careful" in record.error["context"]["difference"]
    await resolve(bench.store, bench.journal(), record, Resolution.REDO, by="bob", reason="upgraded")
    ended = await bench.runner(Upgraded(bench.diary)).run(operation_id)
    assert ended is not None
    assert (ended.state, bench.diary.lines) == ("succeeded", ["once:a", "careful:b", "again:z"])


async def test_an_upgraded_plan_is_stored_and_both_hashes_are_audited(bench: Bench) -> None:
    operation_id = await paused_after_a(bench)
    before = await bench.record(operation_id)
    record = await bench.runner(Upgraded(bench.diary)).run(operation_id)
    assert record is not None
    assert record.planned.definition_version == 2
    assert record.plan_hash == record.planned.hash != before.plan_hash
    assert "operation.upgraded" in await bench.audited()


async def test_an_upgrade_may_not_change_what_was_begun(bench: Bench) -> None:
    operation_id = await paused_after_a(bench)
    record = await bench.runner(Reordered(bench.diary)).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("needs_operator", ["once:a"])


async def test_a_kind_that_nobody_knows_needs_an_operator(bench: Bench) -> None:
    operation_id = await bench.submit(Scripted(bench.diary), plan("once:a"))
    record = await bench.runner().run(operation_id)
    assert record is not None
    assert (record.state, (record.error or {})["code"]) == ("needs_operator", "operation.definition_changed")


async def test_an_upgrade_that_fails_needs_an_operator(bench: Bench) -> None:
    class Broken(Renamed):
        def upgrade(self, planned: PlannedOperation) -> PlannedOperation:
            raise KeyError(planned.kind)

    operation_id = await bench.submit(Scripted(bench.diary), plan("once:a"))
    record = await bench.runner(Broken(bench.diary)).run(operation_id)
    assert record is not None
    assert record.error is not None
    assert (record.state, record.error["code"]) == ("needs_operator", "operation.definition_changed")
    assert "its upgrade from version 1 failed with KeyError" in record.error["message"]
