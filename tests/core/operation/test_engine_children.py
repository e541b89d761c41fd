"""Operations that are part of a step of another one, when that one ends without them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Bench, Diary, Scripted, plan, until
from sqlalchemy import select

from dbre.core.errors import Refused
from dbre.core.operation import tables
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import step
from dbre.core.operation.due import SweepScope, find_due
from dbre.core.operation.model import Resolution
from dbre.core.operation.resolving import resolve
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.steering import Steering
from dbre.core.store import Store

TARGET = "cluster/orders/instance/one"


class Parent(Scripted):
    """Step ``kid`` runs a child that writes two lines, and fails where the child does."""

    kind = "test.parent"

    @step(timeout_seconds=20)
    async def kid(self, context: StepContext) -> Mapping[str, Any]:
        record = await context.run_child("test.scripted", {"names": ["once:x", "once:y"], "target": TARGET})
        if record.state != "succeeded":
            raise Refused(f"the child is {record.state}")
        return {"state": record.state.value}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


async def stuck(_: StepContext) -> None:
    await asyncio.sleep(60)


async def left_child(bench: Bench, *names: str) -> tuple[UUID, UUID, Scripted, Parent]:
    """A parent and its child in the middle of a step, their worker gone."""
    child, parent = Scripted(bench.diary, {"once:y": stuck}), Parent(bench.diary)
    parent_id = await bench.submit(parent, plan(*names, target="cluster/parent"))
    task = asyncio.create_task(bench.runner(child, parent).run(parent_id))
    await until(lambda: "once:y" in bench.diary.lines)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    child.script.clear()
    return parent_id, await child_of(bench, parent_id), child, parent


async def child_of(bench: Bench, parent_id: UUID) -> UUID:
    async with bench.store.read() as connection:
        wanted = select(tables.operation.c.id).where(tables.operation.c.parent_id == parent_id)
        return UUID(str((await connection.execute(wanted.order_by(tables.operation.c.id.desc()))).scalars().first()))


async def due(bench: Bench, runner: OperationRunner) -> list[UUID]:
    scope = SweepScope(limit=10, again_after=timedelta(seconds=30), zones=None, is_patient=False)
    async with bench.store.read() as connection:
        found = await find_due(connection, scope, now=datetime.now(UTC), leases=runner.leases)
    return [one.operation_id for one in found]


async def test_the_child_of_a_parent_that_needs_an_operator_is_undone_and_gives_up_its_target(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "kid:k-")
    runner = bench.runner(child, parent)
    assert child_id not in await due(bench, runner)  # its parent's worker looks after it
    record = await runner.run(parent_id)
    assert record is not None
    assert record.state == "needs_operator"
    assert await due(bench, runner) == [child_id]
    ended = await runner.run(child_id)
    assert ended is not None
    assert (ended.state, ended.cancel_requested_by) == ("compensated", f"operation {parent_id}")
    assert bench.diary.lines == ["once:x", "once:y", "undo once:y", "undo once:x"]
    assert TARGET not in await bench.locks()


async def test_giving_up_a_parent_cancels_its_children_at_once(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "kid:k-")
    runner = bench.runner(child, parent)
    record = await runner.run(parent_id)
    assert record is not None
    await resolve(bench.store, bench.journal(), record, Resolution.GIVE_UP, by="bob", reason="seen")
    assert (await bench.record(child_id)).cancel_requested_by == f"operation {parent_id}"
    assert await due(bench, runner) == [child_id]
    ended = await runner.run(child_id)
    assert ended is not None
    assert ended.state == "compensated"
    assert await bench.locks() == []


async def test_a_wish_to_cancel_a_parent_is_one_to_cancel_its_children(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "kid:k-")
    record = await bench.record(parent_id)

    async def cancel(connection: Any) -> None:
        steering = Steering(connection=connection, journal=bench.journal(), actor="bob", at=datetime.now(UTC))
        await steering.cancel(record, None)

    await bench.store.grouped(cancel)
    assert (await bench.record(child_id)).cancel_requested_by == f"operation {parent_id}"
    assert set(await due(bench, bench.runner(child, parent))) == {parent_id, child_id}


async def test_a_child_that_a_person_paused_ends_with_its_parent(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "kid:k-")
    runner = bench.runner(child, parent)
    await bench.change(
        child_id, state="paused", hold={"by": "bob", "is_gate": False, "reason": "r", "since": "2026-11-21T00:00:00Z"}
    )
    await runner.run(parent_id)
    assert await due(bench, runner) == [child_id]
    ended = await runner.run(child_id)
    assert ended is not None
    assert ended.is_final
    assert await bench.locks() == ["cluster/parent"]


async def test_what_a_person_decided_of_a_child_holds_though_its_parent_has_ended(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "kid:k-")
    runner = bench.runner(child, parent)
    await runner.run(parent_id)
    await bench.change(child_id, state="needs_operator")
    await resolve(bench.store, bench.journal(), await bench.record(child_id), Resolution.DONE, by="bob", reason="seen")
    assert await due(bench, runner) == [child_id]
    ended = await runner.run(child_id)
    assert ended is not None
    assert ended.state == "succeeded"


async def test_a_step_that_is_done_again_after_its_child_failed_has_a_new_child(bench: Bench) -> None:
    async def refuse(_: StepContext) -> None:
        raise Refused("not now")

    child, parent = Scripted(bench.diary, before={"once:x": refuse}), Parent(bench.diary)
    parent_id = await bench.submit(parent, plan("once:r!", "kid:k-", target="cluster/parent"))
    runner = bench.runner(child, parent)
    record = await runner.run(parent_id)
    assert record is not None
    assert record.state == "needs_operator"
    first = await child_of(bench, parent_id)
    child.before.clear()
    await resolve(bench.store, bench.journal(), record, Resolution.REDO, by="bob", reason="seen")
    record = await runner.run(parent_id)
    assert record is not None
    assert record.state == "succeeded"
    assert await child_of(bench, parent_id) != first


async def test_a_child_that_was_given_up_is_found_again(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "once:r!", "kid:k-")
    runner = bench.runner(child, parent)
    await runner.run(parent_id)
    await bench.change(child_id, state="closed", ended_at=datetime.now(UTC) - timedelta(hours=1))
    await resolve(bench.store, bench.journal(), await bench.record(parent_id), Resolution.REDO, by="bob", reason="seen")
    await runner.run(parent_id)
    assert await child_of(bench, parent_id) == child_id


async def test_an_operation_with_the_key_of_a_child_is_not_taken_for_it(bench: Bench) -> None:
    parent_id, child_id, child, parent = await left_child(bench, "once:r!", "kid:k-")
    await bench.change(child_id, parent_id=None)
    await bench.change(parent_id, owner=None)
    runner = bench.runner(child, parent)
    record = await runner.run(parent_id)
    assert record is not None
    await resolve(bench.store, bench.journal(), record, Resolution.REDO, by="bob", reason="seen")
    record = await runner.run(parent_id)
    assert record is not None
    assert record.error is not None
    assert record.error["code"] == "operation.conflict"
