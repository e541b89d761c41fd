"""What happens when a step fails, hangs, or is ended from outside; on both stores, with effects in a real file."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, Diary, Scripted, Verified, plan, until

from dbre.core.errors import DbreError, Refused, Unreachable
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.operation.context import StepContext
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.resolving import resolve
from dbre.core.operation.states import OperationState
from dbre.core.store import Store


class Flaky(DbreError):
    """Says of itself that a retry may help, and that nothing happened."""

    retryable = True


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


def raising(*errors: BaseException | None) -> Any:
    """A script that raises one after the other; None and what follows: nothing."""
    left = list(errors)

    async def act(context: StepContext) -> None:
        if left and (error := left.pop(0)) is not None:
            raise error

    return act


async def hang(context: StepContext) -> None:
    await asyncio.sleep(60)


async def run(bench: Bench, operation: Scripted, *names: str, **options: Any) -> OperationRecord:
    operation_id = await bench.submit(operation, plan(*names), **options)
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    return record


async def test_a_failure_undoes_what_was_done_in_reverse_order(bench: Bench) -> None:
    operation = Scripted(bench.diary, before={"once:d": raising(Refused("the disk is full", hint="make room"))})
    record = await run(bench, operation, "once:a", "blind:b-", "again:c", "once:d", "once:e")
    assert record.state == "compensated"
    assert bench.diary.lines == ["once:a", "blind:b", "again:c", "undo again:c", "undo once:a"]
    assert record.error is not None
    assert (record.error["code"], record.error["message"]) == ("core.refused", "the disk is full")
    assert record.outcome == {"undone": ["again:c", "once:a"]}
    assert await bench.locks() == []


async def test_a_failure_before_anything_that_can_be_undone_is_just_that(bench: Bench) -> None:
    record = await run(bench, Scripted(bench.diary, before={"once:a": raising(Refused("no"))}), "once:a", "once:b")
    assert (record.state, bench.diary.lines) == ("failed", [])


async def test_only_errors_that_say_so_are_tried_again(bench: Bench) -> None:
    operation = Scripted(bench.diary, before={"once:a": raising(Flaky("not yet"), Flaky("not yet"))})
    record = await run(bench, operation, "once:a")
    assert (record.state, record.steps[0].tries, bench.diary.lines) == ("succeeded", 3, ["once:a"])


@pytest.mark.parametrize("error", [Unreachable("gone"), ConnectionResetError(), ValueError("a defect")])
async def test_an_error_after_the_effect_is_no_failure_where_a_probe_finds_the_effect(bench: Bench, error: Exception) -> None:
    record = await run(bench, Scripted(bench.diary, {"once:a": raising(error)}), "once:a", "once:b")
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b"])
    assert record.steps[0].is_recovered


@pytest.mark.parametrize("name", ["blind:b", "unsure:b"])
async def test_an_unknown_outcome_that_nobody_can_find_out_needs_an_operator(bench: Bench, name: str) -> None:
    operation = Scripted(bench.diary, {name: raising(Unreachable("the connection was lost"))})
    record = await run(bench, operation, "once:a", name, "once:c")
    assert (record.state, record.owner, await bench.locks()) == ("needs_operator", None, ["cluster/orders"])
    assert [(one.name, one.state.value) for one in record.steps] == [("once:a", "done"), (name, "started")]
    assert record.error is not None
    assert record.error["message"] == "the connection was lost"


@pytest.mark.parametrize(
    ("resolution", "state", "lines"),
    [
        (Resolution.DONE, "succeeded", ["once:c"]),
        (Resolution.REDO, "succeeded", ["blind:b", "once:c"]),
        (Resolution.UNDO, "compensated", ["undo blind:b", "undo once:a"]),
        (Resolution.GIVE_UP, "closed", []),
    ],
)
async def test_a_person_decides_an_unknown_outcome(bench: Bench, resolution: Resolution, state: str, lines: list[str]) -> None:
    operation = Scripted(bench.diary, {"blind:b": raising(Unreachable("lost"))})
    record = await run(bench, operation, "once:a", "blind:b", "once:c")
    await resolve(bench.store, bench.journal(), record, resolution, by="bob", reason="looked at the server")
    await bench.runner(operation).run(record.id)
    record = await bench.record(record.id)
    assert record.state == state
    assert bench.diary.lines == ["once:a", "blind:b", *lines]
    assert [(one.resolution, one.by) for one in record.resolutions] == [(resolution, "bob")]
    assert await bench.locks() == []


async def test_a_timeout_is_an_unknown_outcome_and_the_probe_decides(bench: Bench) -> None:
    operation = Scripted(bench.diary, {"quick:a": hang}, before={"quick:b": hang})
    record = await run(bench, operation, "quick:a", "quick:b")
    assert record.state == "compensated"
    assert bench.diary.lines == ["quick:a", "undo quick:a"]
    assert [(one.name, one.phase.value, one.state.value, one.is_recovered) for one in record.steps] == [
        ("quick:a", "do", "done", True),
        ("quick:a", "undo", "done", False),
        ("quick:b", "do", "failed", False),
    ]


async def test_past_a_point_of_no_return_it_only_goes_forward(bench: Bench) -> None:
    operation = Scripted(bench.diary, before={"once:c": raising(*[Refused("not yet")] * 1)})
    record = await run(bench, operation, "once:a", "once:b!", "once:c")
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b", "once:c"])
    operation.before = {"once:c": raising(*[Refused("never")] * 9)}
    record = await run(bench, operation, "once:a", "once:b!", "once:c")
    assert record.state == "needs_operator"
    assert not any(line.startswith("undo") for line in bench.diary.lines)


async def test_an_undo_that_fails_for_good_needs_an_operator_and_can_be_gone_on_with(bench: Bench) -> None:
    failing = {"once:c": raising(Refused("no")), "undo once:a": raising(Refused("stuck"), Refused("stuck"))}
    operation = Scripted(bench.diary, before=failing)
    record = await run(bench, operation, "once:a", "once:b", "once:c")
    assert (record.state, bench.diary.lines) == ("needs_operator", ["once:a", "once:b", "undo once:b"])
    await resolve(bench.store, bench.journal(), record, Resolution.REDO, by="bob", reason="unstuck")
    record = await bench.runner(operation).run(record.id)
    assert record is not None
    assert (record.state, bench.diary.lines[3:]) == ("compensated", ["undo once:a"])


async def test_what_does_not_hold_in_the_end_is_undone(bench: Bench) -> None:
    operation = Verified(bench.diary)
    operation.broken = ["x"]
    record = await run(bench, operation, "once:a", "once:b")
    assert (record.state, bench.diary.lines) == ("compensated", ["once:a", "once:b", "undo once:b", "undo once:a"])
    assert record.error is not None
    assert record.error["code"] == "operation.verification_failed"


async def test_cancelling_a_running_step_probes_it_and_undoes_all_of_it(bench: Bench) -> None:
    operation = Scripted(bench.diary, {"once:b": hang})
    operation_id = await bench.submit(operation, plan("once:a", "once:b", "once:c"))
    task = asyncio.create_task(bench.runner(operation).run(operation_id))
    await until(lambda: "once:b" in bench.diary.lines)
    await bench.change(operation_id, cancel_requested_by="bob")
    async with asyncio.timeout(5):
        record = await task
    assert record is not None
    assert (record.state, record.abort_reason) == ("compensated", "cancelled by bob")
    assert bench.diary.lines == ["once:a", "once:b", "undo once:b", "undo once:a"]


async def test_a_cancelled_step_that_cannot_be_probed_needs_an_operator(bench: Bench) -> None:
    operation = Scripted(bench.diary, {"blind:b": hang})
    operation_id = await bench.submit(operation, plan("once:a", "blind:b"))
    task = asyncio.create_task(bench.runner(operation).run(operation_id))
    await until(lambda: "blind:b" in bench.diary.lines)
    await bench.change(operation_id, cancel_requested_by="bob")
    record = await task
    assert record is not None
    assert (record.state, record.abort_reason) == ("needs_operator", "cancelled by bob")


async def test_cancel_while_it_waits_means_that_nothing_happens(bench: Bench) -> None:
    operation = Scripted(bench.diary)
    operation_id = await bench.submit(operation, plan("once:a"))
    await bench.change(operation_id, cancel_requested_by="bob")
    assert await bench.runner(operation).run(operation_id) is None
    record = await bench.record(operation_id)
    assert (record.state, record.steps, bench.diary.lines) == ("cancelled", (), [])


async def test_cancel_is_too_late_past_a_point_of_no_return_and_an_undo_is_not_interrupted(bench: Bench) -> None:
    async def cancel(context: StepContext) -> None:
        await bench.change(context.token.operation_id, cancel_requested_by="bob")
        await asyncio.sleep(0.2)

    record = await run(bench, Scripted(bench.diary, {"once:b": cancel}), "once:a", "once:b!", "once:c")
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b", "once:c"])
    bench.diary.path.unlink()
    operation = Scripted(bench.diary, {"undo once:b": cancel}, before={"once:c": raising(Refused("no"))})
    record = await run(bench, operation, "once:a", "once:b", "once:c")
    assert (record.state, bench.diary.lines) == ("compensated", ["once:a", "once:b", "undo once:b", "undo once:a"])


async def test_a_deadline_ends_it_in_each_state(bench: Bench) -> None:
    past, soon = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(seconds=1.5)
    operation = Scripted(bench.diary, {"once:b": hang})
    waiting = await bench.submit(operation, plan("once:a"), deadline=past)
    assert await bench.runner(operation).run(waiting) is None
    assert (await bench.record(waiting)).state == "cancelled"
    record = await run(bench, operation, "once:a", "once:b", deadline=soon)
    assert record.state == "compensated"
    assert "deadline" in (record.abort_reason or "")
    assert bench.diary.lines == ["once:a", "once:b", "undo once:b", "undo once:a"]


async def test_a_pause_comes_about_at_the_next_boundary_and_resume_goes_on_there(bench: Bench) -> None:
    async def pause(context: StepContext) -> None:
        await bench.change(context.token.operation_id, pause_requested_by="bob")

    operation = Scripted(bench.diary, {"once:a": pause})
    record = await run(bench, operation, "once:a", "once:b")
    assert (record.state, record.hold and record.hold.by, await bench.locks()) == ("paused", "bob", ["cluster/orders"])
    assert await bench.runner(operation).run(record.id) is None
    changes = {"hold": None, "pause_requested_by": None}
    await bench.store.grouped(
        lambda connection: bench.journal().move(connection, record, OperationState.QUEUED, actor="bob", changes=changes)
    )
    ended = await bench.runner(operation).run(record.id)
    assert ended is not None
    assert (ended.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b"])


class Answering:
    """A gate that says what a test wants."""

    name, summary, asks_always = "mood", "the mood of the test", True

    def __init__(self) -> None:
        self.verdict = GateVerdict.ALLOW
        self.asked: list[tuple[Moment, str | None]] = []
        self.delay = 0.0

    def fails_open(self, question: GateQuestion) -> bool:  # noqa: ARG002 - the protocol's
        return False

    async def decide(self, question: GateQuestion) -> GateDecision:
        self.asked.append((question.moment, question.step))
        await asyncio.sleep(self.delay)
        return GateDecision(gate=self.name, verdict=self.verdict, reason=f"mood: {self.verdict}")


async def test_a_gate_holds_before_the_start_pauses_at_a_boundary_and_lets_it_go_on(bench: Bench) -> None:
    gate = Answering()
    bench.gates = (gate,)

    async def worsen(context: StepContext) -> None:
        gate.verdict = GateVerdict.HOLD

    operation = Scripted(bench.diary, {"once:a": worsen})
    operation_id = await bench.submit(operation, plan("once:a", "once:b"))
    gate.verdict = GateVerdict.HOLD
    assert await bench.runner(operation).run(operation_id) is None
    held = await bench.record(operation_id)
    assert (held.state, held.hold and held.hold.by) == ("queued", "mood")
    assert held.not_before is not None
    assert 4 < (held.not_before - datetime.now(UTC)).total_seconds() <= 5
    gate.verdict = GateVerdict.ALLOW
    await bench.change(operation_id, not_before=None)
    paused = await bench.runner(operation).run(operation_id)
    assert paused is not None
    assert (paused.state, paused.hold and paused.hold.is_gate, bench.diary.lines) == ("paused", True, ["once:a"])
    await bench.change(operation_id, not_before=None)
    assert await bench.runner(operation).run(operation_id) is None
    gate.verdict = GateVerdict.ALLOW
    await bench.change(operation_id, not_before=None)
    ended = await bench.runner(operation).run(operation_id)
    assert ended is not None
    assert (ended.state, bench.diary.lines) == ("succeeded", ["once:a", "once:b"])
    assert [one.verdict for one in ended.gates] == ["hold", "allow", "hold", "allow"]
    assert gate.asked[0] == (Moment.START, "once:a")
    assert (Moment.BOUNDARY, "once:b") in gate.asked


async def test_a_gate_that_refuses_inside_a_step_ends_it_and_all_is_undone(bench: Bench) -> None:
    gate = Answering()
    bench.gates = (gate,)

    async def worsen(context: StepContext) -> None:
        gate.verdict = GateVerdict.REFUSE
        await asyncio.sleep(60)

    record = await run(bench, Scripted(bench.diary, {"once:b": worsen}), "once:a", "once:b", "once:c")
    assert (record.state, record.abort_reason) == ("compensated", "gate mood refuses: mood: refuse")
    assert bench.diary.lines == ["once:a", "once:b", "undo once:b", "undo once:a"]


async def test_a_slow_gate_does_not_delay_the_record_of_what_is_done(bench: Bench) -> None:
    gate = Answering()
    bench.gates = (gate,)
    seen: list[str] = []

    async def slow(context: StepContext) -> None:
        gate.delay = 0.8

    async def look(context: StepContext) -> None:
        rows = (await bench.record(context.token.operation_id)).steps
        assert rows[0].ended_at is not None
        seen.append(f"{(rows[1].started_at - rows[0].ended_at).total_seconds():.1f}")

    record = await run(bench, Scripted(bench.diary, {"once:a": slow, "once:b": look}), "once:a", "once:b")
    assert record.state == "succeeded"
    assert seen in (["0.5"], ["0.6"])


async def test_operations_on_one_target_wait_for_each_other_and_shared_ones_do_not(bench: Bench) -> None:
    operation = Scripted(bench.diary, {"once:a": hang})
    first = await bench.submit(operation, plan("once:a"))
    second = await bench.submit(operation, plan("once:b", target="cluster/orders/instance/x"))
    other = await bench.submit(operation, plan("once:c", target="cluster/orders-2"))
    task = asyncio.create_task(bench.runner(operation).run(first))
    await until(lambda: "once:a" in bench.diary.lines)
    assert await bench.runner(operation).run(second) is None
    held = await bench.record(second)
    assert held.hold is not None
    assert (held.state, held.hold.by, str(first) in held.hold.reason) == ("queued", "target-lock", True)
    assert (await bench.runner(operation).run(other)).state == "succeeded"
    await bench.change(first, cancel_requested_by="bob")
    await task
    woken = await bench.record(second)
    assert woken.not_before is not None
    assert woken.not_before <= datetime.now(UTC)
    assert (await bench.runner(operation).run(second)).state == "succeeded"


async def test_a_parent_runs_a_child_on_its_own_target_and_finds_it_again(bench: Bench) -> None:
    async def child(context: StepContext) -> dict[str, Any]:
        record = await context.run_child("test.verified", {"names": ["once:child"]})
        return {"child": str(record.id), "state": record.state.value}

    operation, inner = Scripted(bench.diary, {"once:a": child}), Verified(bench.diary)
    operation_id = await bench.submit(operation, plan("once:a", "once:b"))
    record = await bench.runner(operation, inner).run(operation_id)
    assert record is not None
    assert (record.state, bench.diary.lines) == ("succeeded", ["once:a", "once:child", "once:b"])
    assert record.steps[0].result is not None
    assert record.steps[0].result["state"] == "succeeded"


async def test_cancelling_a_parent_cancels_and_undoes_the_child_first(bench: Bench) -> None:
    async def child(context: StepContext) -> None:
        await context.run_child("test.verified", {"names": ["once:c1", "once:c2"]})

    operation, inner = Scripted(bench.diary, {"once:a": child}), Verified(bench.diary, {"once:c2": hang})
    operation_id = await bench.submit(operation, plan("once:a", "once:b"))
    task = asyncio.create_task(bench.runner(operation, inner).run(operation_id))
    await until(lambda: "once:c2" in bench.diary.lines)
    await bench.change(operation_id, cancel_requested_by="bob")
    record = await task
    assert record is not None
    assert record.state == "compensated"
    assert bench.diary.lines == ["once:a", "once:c1", "once:c2", "undo once:c2", "undo once:c1", "undo once:a"]


async def test_progress_and_notes_are_shown_while_a_step_runs_and_hold_no_secret(bench: Bench) -> None:
    shown: list[Any] = []

    async def long(context: StepContext) -> None:
        await context.progress(3, 10, "rows")
        await context.note("connected to postgresql://dbre:hunter2@db/shop")
        await asyncio.sleep(1.3)
        shown.append((await bench.record(context.token.operation_id)).steps[0])

    record = await run(bench, Scripted(bench.diary, {"once:a": long}), "once:a")
    assert record.steps[0].notes == ("connected to postgresql://dbre:***@db/shop",)
    assert shown[0].progress["done"] == 3
    assert shown[0].notes == record.steps[0].notes
