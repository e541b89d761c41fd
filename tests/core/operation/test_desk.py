"""What people may do with operations, on both stores: permissions, hashes, gates, approvals, steering, and their audit."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from desk_kit import ADMIN, ALICE, BOB, TESTER, VIEWER, Office, person
from sqlalchemy import select

from dbre.core.audit import tables as audit_tables
from dbre.core.errors import Denied, Refused, UsageError
from dbre.core.gates.approval import ApprovalPolicy
from dbre.core.gates.asking import GateUnknown
from dbre.core.gates.model import GateVerdict
from dbre.core.gates.scope import Scope
from dbre.core.identity.model import Role
from dbre.core.operation.desk import OperationFilter, OverrideRequest, Submission
from dbre.core.operation.documents import operation_document, operation_from_document, preview_document, preview_from_document
from dbre.core.operation.errors import (
    ConfirmationMissing,
    GateRefused,
    NoSuchOperation,
    OperationConflict,
    PlanChanged,
    TargetBusy,
    WrongState,
)
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.naming import operation_named
from dbre.core.operation.plan import Risk
from dbre.core.operation.reconsidering import Reconsideration
from dbre.core.operation.states import OperationState as S
from dbre.core.store import Store

ASKED = {"cluster": "orders"}
MILD = Scope(risk=Risk.MILD, exempt=())


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


async def _submit(office: Office, principal=ALICE, asked=ASKED, **given) -> OperationRecord:
    desk = office.desk(principal)
    return await desk.submit((await desk.preview("test.set", asked)).planned, Submission(**given))


async def _audited(office: Office) -> list[str]:
    async with office.store.read() as connection:
        rows = await connection.execute(select(audit_tables.entry.c.action).order_by(audit_tables.entry.c.entry_index))
        return list(rows.scalars())


async def _count(office: Office) -> int:
    return len(await office.desk(ADMIN).list(OperationFilter(limit=100)))


async def test_a_preview_stores_nothing_and_shows_what_gates_say(office: Office) -> None:
    office.mood.verdict = GateVerdict.HOLD
    preview = await office.desk(ALICE).preview("test.set", ASKED)
    assert preview.planned.input == {"cluster": "orders", "value": 64, "risk": "mild"}
    assert (preview.decisions[0].gate, preview.decisions[0].verdict) == ("mood", GateVerdict.HOLD)
    assert await _count(office) == 0
    assert await _audited(office) == []
    assert preview_from_document(preview_document(preview)).planned.hash == preview.planned.hash


async def test_input_that_does_not_fit_is_refused_with_its_place(office: Office) -> None:
    with pytest.raises(UsageError, match=r"input\.value: .*input\.more: "):
        await office.desk(ALICE).preview("test.set", {"cluster": "orders", "value": "x\x1b", "more": 1})
    with pytest.raises(UsageError, match=r"'test\.sett' is not a kind"):
        await office.desk(ALICE).preview("test.sett", ASKED)


async def test_a_submitted_plan_is_queued_audited_told_and_run(office: Office) -> None:
    record = await _submit(office, reason="why not")
    assert (record.state, record.requested_by, record.reason) == (S.QUEUED, "alice", "why not")
    assert office.told.ids == [record.id]
    assert await _audited(office) == ["operation.queued"]
    ended = await office.runner().run(record.id)
    assert ended is not None
    assert ended.state is S.SUCCEEDED
    assert office.operation.world == {"orders": 64}
    assert operation_from_document(operation_document(ended)) == ended


async def test_a_plan_that_would_be_another_one_now_is_not_run(office: Office) -> None:
    planned = (await office.desk(ALICE).preview("test.set", ASKED)).planned
    office.operation.world["orders"] = 8
    with pytest.raises(PlanChanged, match=r"observed\.value: 4 -> 8") as raised:
        await office.desk(ALICE).submit(planned, Submission())
    assert raised.value.exit_code == 7
    assert {one["place"] for one in raised.value.context["differences"]} == {"observed.value", "changes.orders.before"}
    assert await _count(office) == 0


async def test_the_same_key_gives_the_first_operation_and_another_plan_conflicts(office: Office) -> None:
    desk = office.desk(ALICE)
    planned = (await desk.preview("test.set", ASKED)).planned
    both = await asyncio.gather(*(desk.submit(planned, Submission(dedup_key="night")) for _ in range(5)))
    assert len({one.id for one in both}) == 1
    await office.runner().run(both[0].id)  # now the plan would be another one
    assert (await desk.request("test.set", ASKED, Submission(dedup_key="night"))).id == both[0].id
    with pytest.raises(OperationConflict, match="belongs to another plan"):
        await desk.request("test.set", {**ASKED, "value": 1}, Submission(dedup_key="night"))
    with pytest.raises(PlanChanged):
        await desk.request("test.set", ASKED, Submission(), plan_hash=planned.hash)
    assert await _count(office) == 1


async def test_a_refusing_gate_stops_it_unless_somebody_who_may_overrides_with_a_reason(office: Office) -> None:
    office.mood.verdict = GateVerdict.REFUSE
    with pytest.raises(GateRefused, match="gate mood refuses: so it was wanted"):
        await _submit(office)
    bypass = (OverrideRequest(gate="mood", reason="it burns", ticket="T-1"),)
    with pytest.raises(Denied, match="alice may not override"):
        await _submit(office, overrides=bypass)
    with pytest.raises(UsageError, match="needs a reason"):
        await _submit(office, ADMIN, overrides=(OverrideRequest(gate="mood", reason=" "),))
    with pytest.raises(GateUnknown, match="is not a gate"):
        await _submit(office, ADMIN, overrides=(OverrideRequest(gate="moood", reason="x"),))
    with pytest.raises(Refused, match="cannot be overridden"):
        await _submit(office, ADMIN, overrides=(OverrideRequest(gate="target-lock", reason="x"),))
    assert await _count(office) == 0
    record = await _submit(office, ADMIN, overrides=bypass)
    assert [(one.gate, one.by, one.reason, one.ticket) for one in record.overrides] == [("mood", "root", "it burns", "T-1")]
    assert "gate.overridden" in await _audited(office)
    ended = await office.runner().run(record.id)
    assert ended is not None
    assert ended.state is S.SUCCEEDED


async def test_a_severe_plan_needs_the_targets_name(office: Office) -> None:
    asked = {**ASKED, "risk": "severe"}
    for wrong in (None, "", "order", "Orders"):
        with pytest.raises(ConfirmationMissing):
            await _submit(office, asked=asked, confirm=wrong)
    assert (await _submit(office, asked=asked, confirm="orders")).state is S.QUEUED


async def test_a_held_target_is_waited_for_unless_somebody_wants_no_waiting(office: Office) -> None:
    office.mood.verdict = GateVerdict.ALLOW
    first = await _submit(office)
    async with office.store.begin() as connection:
        from dbre.core.operation.locks import take_lock

        assert await take_lock(connection, office.store, first, own=(), at=office.clock.now()) is None
    with pytest.raises(TargetBusy, match=str(first.id)):
        await _submit(office, BOB, fail_if_busy=True)
    assert (await _submit(office, BOB)).state is S.QUEUED


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"priority": 10}, "priority 10"),
        ({"zone": "a b"}, "not a zone"),
        ({"dedup_key": "a b"}, "idempotency key"),
        ({"reason": "x" * 2001}, "2001 characters"),
        ({"deadline": datetime(2020, 1, 1, tzinfo=UTC)}, "deadline 2020-01-01"),
        ({"not_before": datetime(2027, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is what is tested
    ],
)
async def test_what_cannot_be_meant_is_refused(office: Office, given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        await _submit(office, **given)
    assert await _count(office) == 0


async def test_nobody_sees_or_does_more_than_their_grants_allow(office: Office) -> None:
    record = await _submit(office)
    tina = office.desk(TESTER)
    assert await tina.list(OperationFilter()) == []
    with pytest.raises(NoSuchOperation):
        await tina.get(record.id)
    with pytest.raises(NoSuchOperation):
        await tina.cancel(record.id)
    with pytest.raises(Denied, match="tina may not operate"):
        await tina.preview("test.set", ASKED)
    with pytest.raises(Denied, match="tina may not operate"):
        await tina.submit(record.planned, Submission())
    mine = await _submit(office, TESTER, {"cluster": "trial"})
    assert [one.id for one in await tina.list(OperationFilter())] == [mine.id]
    vera = office.desk(VIEWER)
    assert (await vera.get(record.id)).id == record.id
    for act in (vera.cancel, vera.pause, vera.resume, vera.approve):
        with pytest.raises(Denied, match="vera may not"):
            await act(record.id) if act is not vera.approve else await vera.approve(record.id)
    with pytest.raises(Denied):
        await office.desk(ALICE).resolve(record.id, Resolution.DONE, reason="x")
    with pytest.raises(Denied):
        await office.desk(ALICE).override(record.id, OverrideRequest(gate="mood", reason="x"))
    with pytest.raises(NoSuchOperation):
        await vera.get(uuid4())


async def test_four_eyes_consent_to_exactly_the_stored_plan(store: Store) -> None:
    office = Office(store, policies=(ApprovalPolicy(name="two", scope=MILD, count=2),))
    assert (await office.desk(BOB).preview("test.set", ASKED)).approvals_needed == 2
    record = await _submit(office, BOB)
    assert record.state is S.AWAITING_APPROVAL
    assert office.told.ids == []
    with pytest.raises(Denied, match="bob asked for"):
        await office.desk(BOB).approve(record.id)
    carol = office.desk(person("carol", Role.APPROVER))
    with pytest.raises(OperationConflict, match="has a plan with hash"):
        await carol.approve(record.id, plan_hash="0" * 64)
    once = await carol.approve(record.id, plan_hash=record.plan_hash, comment="looks right")
    assert (await carol.approve(record.id)).state is once.state is S.AWAITING_APPROVAL  # one person is one consent
    office.operation.world["orders"] = 8
    with pytest.raises(PlanChanged):
        await office.desk(person("dan", Role.APPROVER)).approve(record.id)
    del office.operation.world["orders"]
    assert (await office.desk(person("dan", Role.APPROVER)).approve(record.id)).state is S.QUEUED
    assert office.told.ids == [record.id]
    ended = await office.runner().run(record.id)
    assert ended is not None
    assert ended.state is S.SUCCEEDED
    with pytest.raises(WrongState, match="waits for no approval"):
        await carol.approve(record.id)
    assert (await _audited(office)).count("operation.approved") == 3


async def test_cancel_before_the_start_is_at_once_and_twice_is_no_error(office: Office) -> None:
    record = await _submit(office)
    desk = office.desk(ALICE)
    cancelled = await desk.cancel(record.id, reason="not today")
    assert (cancelled.state, cancelled.abort_reason) == (S.CANCELLED, "cancelled by alice: not today")
    assert (await desk.cancel(record.id)).state is S.CANCELLED
    assert await office.runner().run(record.id) is None
    for act in (desk.pause, desk.resume):
        with pytest.raises(WrongState):
            await act(record.id)
    with pytest.raises(WrongState):
        await desk.tune(record.id, {"chunk_rows": "5"})
    with pytest.raises(WrongState, match="needs no operator"):
        await office.desk(ADMIN).resolve(record.id, Resolution.DONE, reason="seen")


async def test_a_paused_operation_waits_for_resume_and_keeps_its_start(office: Office) -> None:
    start = office.clock.now() + timedelta(hours=1)
    record = await _submit(office, not_before=start)
    assert office.told.ids == []  # its time has not come
    desk = office.desk(ALICE)
    paused = await desk.pause(record.id, reason="lunch")
    assert paused.state is S.PAUSED
    assert paused.hold is not None
    assert (paused.hold.by, paused.hold.is_gate, paused.hold.reason) == ("alice", False, "lunch")
    assert await office.runner().run(record.id) is None
    resumed = await desk.resume(record.id)
    assert (resumed.state, resumed.hold, resumed.not_before) == (S.QUEUED, None, start)
    assert (await desk.cancel((await desk.pause(record.id)).id)).state is S.CANCELLED


async def test_the_reason_of_a_pause_is_shown_once_a_running_operation_stands_still(office: Office) -> None:
    desk, go_on = office.desk(ALICE), asyncio.Event()
    office.operation.meanwhile = go_on.wait
    office.operation.times = 3
    record = await _submit(office)
    running = asyncio.create_task(office.runner().run(record.id))
    await asyncio.wait_for(office.operation.is_begun.wait(), 10)
    await desk.pause(record.id, reason=" forgotten ")
    await desk.resume(record.id)
    await desk.pause(record.id, reason=" the replica lags\n")
    go_on.set()
    paused = await asyncio.wait_for(running, 10)
    assert paused is not None
    assert (paused.state, paused.hold and (paused.hold.by, paused.hold.reason)) == (S.PAUSED, ("alice", "the replica lags"))
    go_on.clear()
    office.operation.is_begun.clear()
    await desk.resume(record.id)
    running = asyncio.create_task(office.runner().run(record.id))
    await asyncio.wait_for(office.operation.is_begun.wait(), 10)
    await desk.pause(record.id)
    go_on.set()
    again = await asyncio.wait_for(running, 10)
    assert again is not None
    assert again.hold is not None
    assert again.hold.reason == "paused by alice"


async def test_tunables_are_read_before_they_are_stored(office: Office) -> None:
    record = await _submit(office)
    desk = office.desk(ALICE)
    assert (await desk.tune(record.id, {"chunk_rows": "500"})).tuning == {"chunk_rows": "500"}
    for wrong, said in (({"chunk_rows": "many"}, "does not fit"), ({"chunk_row": "1"}, "no tunable"), ({}, "nothing says")):
        with pytest.raises(UsageError, match=said):
            await desk.tune(record.id, wrong)
    assert "operation.tuned" in await _audited(office)


async def test_an_override_lets_a_held_operation_go_on(office: Office) -> None:
    office.mood.verdict = GateVerdict.HOLD
    record = await _submit(office)
    assert await office.runner().run(record.id) is None
    held = await office.desk(ADMIN).get(record.id)
    assert held.hold is not None
    assert held.hold.by == "mood"
    office.told.ids.clear()
    await office.desk(ADMIN).override(record.id, OverrideRequest(gate="mood", reason="it must"))
    assert office.told.ids == [record.id]
    ended = await office.runner().run(record.id)
    assert ended is not None
    assert ended.state is S.SUCCEEDED


async def test_an_override_of_the_approval_queues_what_waits_for_it(office: Office) -> None:
    office = Office(office.store, policies=(ApprovalPolicy(name="four-eyes", scope=MILD),))
    record = await _submit(office)
    assert record.state is S.AWAITING_APPROVAL
    after_another = await office.desk(ADMIN).override(record.id, OverrideRequest(gate="mood", reason="it must"))
    assert after_another.state is S.AWAITING_APPROVAL
    released = await office.desk(ADMIN).override(record.id, OverrideRequest(gate="approval", reason="nobody is awake"))
    assert (released.state, office.told.ids) == (S.QUEUED, [record.id])
    ended = await office.runner().run(record.id)
    assert ended is not None
    assert ended.state is S.SUCCEEDED


async def test_nobody_overrides_the_consent_of_others_to_what_they_asked_for(office: Office) -> None:
    office = Office(office.store, policies=(ApprovalPolicy(name="four-eyes", scope=MILD),))
    bypass = OverrideRequest(gate="approval", reason="nobody is awake")
    with pytest.raises(Denied, match="root asked for it, and gate approval wants the consent of somebody else"):
        await _submit(office, ADMIN, overrides=(bypass,))
    waiting = await _submit(office, ADMIN)
    with pytest.raises(Denied, match="consent of somebody else"):
        await office.desk(ADMIN).override(waiting.id, bypass)
    assert (await office.desk(ADMIN).get(waiting.id)).state is S.AWAITING_APPROVAL


async def test_retry_runs_the_same_plan_as_a_new_operation(office: Office) -> None:
    desk = office.desk(ALICE)
    first = await _submit(office, asked={**ASKED, "risk": "severe"}, confirm="orders")
    with pytest.raises(WrongState, match="ended badly"):
        await desk.retry(first.id)
    await desk.cancel(first.id)
    with pytest.raises(ConfirmationMissing):
        await desk.retry(first.id)
    again = await desk.retry(first.id, confirm="orders")
    assert again.id != first.id
    assert (again.plan_hash, again.state) == (first.plan_hash, S.QUEUED)
    await office.runner().run(again.id)
    with pytest.raises(PlanChanged):
        await desk.retry(first.id, confirm="orders")


async def test_lists_are_filtered_paged_and_found_by_parts_of_an_id(office: Office) -> None:
    made = [await _submit(office, BOB if number % 2 else ALICE) for number in range(5)]
    desk = office.desk(ADMIN)
    newest = await desk.list(OperationFilter(limit=2))
    assert [one.id for one in newest] == [made[4].id, made[3].id]
    assert [one.id for one in await desk.list(OperationFilter(before=newest[-1].id))] == [one.id for one in reversed(made[:3])]
    assert len(await desk.list(OperationFilter(requested_by="bob"))) == 2
    assert await desk.list(OperationFilter(kind="test.other")) == []
    assert len(await desk.list(OperationFilter(target="cluster/orders"))) == 5
    assert await desk.list(OperationFilter(target="cluster/order")) == []
    assert await desk.list(OperationFilter(target="cluster/order%")) == []
    await desk.cancel(made[0].id)
    assert [one.id for one in await desk.list(OperationFilter(states=(S.CANCELLED,)))] == [made[0].id]
    assert await operation_named(desk, str(made[2].id)[-12:].upper()) == made[2].id
    assert await operation_named(desk, f"operation/{made[2].id}") == made[2].id
    with pytest.raises(UsageError, match="means several"):
        await operation_named(desk, str(made[2].id)[:8])
    for wrong in ("abc", "%%%%%%%%", "zzzzzzzzz", "\x1b[2J12345678"):
        with pytest.raises(UsageError):
            await operation_named(desk, wrong)
    with pytest.raises(NoSuchOperation):
        await operation_named(desk, "ffffffff")


async def test_what_waits_for_an_approval_is_queued_once_no_policy_wants_one(store: Store) -> None:
    strict = Office(store, policies=(ApprovalPolicy(name="two", scope=MILD, count=2),))
    record = await _submit(strict, BOB)
    desk = strict.desk(BOB)
    assert await Reconsideration(strict.parts).reconsider() == 0
    assert (await desk.get(record.id)).state is S.AWAITING_APPROVAL
    lax = Office(store)
    assert await Reconsideration(lax.parts).reconsider() == 1
    assert (await desk.get(record.id)).state is S.QUEUED
    assert lax.told.ids == [record.id]
    assert "operation.approval_not_needed" in await _audited(lax)
    assert await Reconsideration(lax.parts).reconsider() == 0
