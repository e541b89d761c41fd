"""Who holds a target, and which locks exclude each other."""

import itertools
from datetime import timedelta

import pytest
from gate_kit import NOW, SHARED, number, planned, put, question
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.gates.model import GateVerdict, Moment
from dbre.core.gates.target_lock import TargetLockGate
from dbre.core.operation.gate_reading import held_operations, target_holders
from dbre.core.operation.lock_conflict import HeldLock, conflicting, conflicts, is_related
from dbre.core.operation.plan import LockMode

PARTS = st.lists(st.sampled_from(["cluster", "a", "ab", "instance"]), min_size=1, max_size=4)


@given(one=PARTS, other=PARTS)
def test_targets_are_related_if_one_contains_the_other(one, other):
    shorter, longer = sorted((one, other), key=len)
    assert is_related("/".join(one), "/".join(other)) is (longer[: len(shorter)] == shorter)
    for mode, held in itertools.product(LockMode, LockMode):
        forth = conflicts("/".join(one), mode, held="/".join(other), held_mode=held)
        if {mode, held} != {LockMode.RESCUE, LockMode.YIELDING}:
            assert forth is conflicts("/".join(other), held, held="/".join(one), held_mode=mode)
        goes_together = (mode, held) in ((LockMode.SHARED, LockMode.SHARED), (LockMode.RESCUE, LockMode.YIELDING))
        assert forth is (is_related("/".join(one), "/".join(other)) and not goes_together)


def test_an_operation_and_its_ancestors_do_not_stand_in_its_own_way():
    locks = [
        HeldLock(
            target="cluster/orders", operation_id=number(index), mode=LockMode.EXCLUSIVE, at=NOW + timedelta(seconds=index)
        )
        for index in (3, 1, 2)
    ]
    assert [one.operation_id for one in conflicting("cluster/orders", LockMode.SHARED, locks, own={number(1), None})] == [
        number(2),
        number(3),
    ]


@pytest.mark.parametrize(
    ("wanted", "held", "verdict"),
    [
        (LockMode.RESCUE, LockMode.YIELDING, GateVerdict.ALLOW),
        (LockMode.EXCLUSIVE, LockMode.YIELDING, GateVerdict.HOLD),
        (LockMode.SHARED, LockMode.YIELDING, GateVerdict.HOLD),
        (LockMode.YIELDING, LockMode.RESCUE, GateVerdict.HOLD),
        (LockMode.RESCUE, LockMode.RESCUE, GateVerdict.HOLD),
        (LockMode.RESCUE, LockMode.EXCLUSIVE, GateVerdict.HOLD),
    ],
)
async def test_only_a_rescue_goes_on_beside_an_experiment_and_none_begins_beside_a_rescue(store, wanted, held, verdict):
    await put(store, 7, planned("chaos.run", lock=held), lock=True, state="running")
    decision = await TargetLockGate(store).decide(question(planned("ha.failover", lock=wanted), operation_id=number(1)))
    assert decision.verdict is verdict


async def test_it_says_who_holds_the_target_since_when_and_about_how_long(store):
    plan = planned("move.cutover", estimate_seconds=600.0)
    holder = await put(store, 7, plan, lock=True, state="running", started_at=NOW, requested_by="bob\x1b[2J")
    asked = question(planned(target="cluster/orders/instance/orders-1"), operation_id=number(1), at=NOW + timedelta(minutes=3))
    decision = await TargetLockGate(store).decide(asked)
    assert decision.verdict is GateVerdict.HOLD
    assert decision.reason == (
        f"cluster/orders/instance/orders-1 is held by operation {holder} (move.cutover, bob\\x1b[2J, 3m, about 7m left),"
        " which holds cluster/orders"
    )
    assert decision.evidence["ends_about"] == (NOW + timedelta(minutes=10)).isoformat()
    late = question(operation_id=number(1), at=NOW + timedelta(minutes=12))
    assert "2m longer than planned" in (await TargetLockGate(store).decide(late)).reason


@pytest.mark.parametrize("state", ["paused", "needs_operator", "compensating"])
async def test_a_holder_that_does_not_run_is_said_to_be_so(store, state):
    await put(store, 7, lock=True, state=state)
    assert state.replace("_", " ") in (await TargetLockGate(store).decide(question(operation_id=number(1)))).reason


async def test_free_targets_shared_locks_and_own_locks_are_allowed(store):
    await put(store, 7, planned(target="cluster/orders-2"), lock=True)
    await put(store, 8, planned(target="cluster/order_"), lock=True)  # no pattern
    await put(store, 9, planned(target="cluster/trial", lock=SHARED), lock=True)
    await put(store, 10, planned(target="cluster/own"), lock=True)
    allowed = [
        question(operation_id=number(1)),
        question(planned(target="cluster/trial", lock=SHARED), operation_id=number(1)),
        question(planned(target="cluster/own"), operation_id=number(10)),
        question(planned(target="cluster/own/x"), operation_id=number(1), parent_ids=(number(10),)),
        question(planned(target="cluster/own"), operation_id=number(1), moment=Moment.BOUNDARY),
        question(planned(target="host/%")),
    ]
    gate = TargetLockGate(store)
    assert [(await gate.decide(one)).verdict.value for one in allowed] == ["allow"] * len(allowed)
    whole = question(planned(target="cluster"), operation_id=number(1))
    holders = (await gate.decide(whole)).evidence["holders"]
    assert sorted(holders) == sorted(str(number(one)) for one in (7, 8, 9, 10))
    assert (await gate.decide(whole)).verdict is GateVerdict.HOLD


async def test_who_waits_for_what_the_longest_wait_first(store):
    hold = {"by": "freeze-window", "is_gate": True, "reason": "weekend", "since": (NOW - timedelta(hours=1)).isoformat()}
    await put(store, 1)
    await put(store, 2, hold=hold, not_before=NOW + timedelta(seconds=60))
    await put(store, 3, state="paused", hold=hold | {"by": "bob", "is_gate": False, "reason": "lunch"}, not_before=NOW)
    await put(store, 4, state="awaiting_approval")
    await put(store, 5, state="cancelled", hold=hold)
    found = await held_operations(store)
    assert [(one.operation_id.int, one.held_by, one.reason, one.is_gate) for one in found] == [
        (2, "freeze-window", "weekend", True),
        (3, "bob", "lunch", False),
        (4, "approval", "waits for approval", True),
    ]
    assert [one.next_look for one in found] == [NOW + timedelta(seconds=60), None, None]
    assert found[2].since == NOW


async def test_every_holder_is_listed(store):
    await put(store, 2, planned(target="cluster/b", estimate_seconds=5.0), lock=True, state="running")
    await put(store, 1, planned(target="cluster/a"), lock=True, state="paused")
    found = await target_holders(store)
    assert [(one.lock.target, one.kind, one.state.value, one.estimate_seconds) for one in found] == [
        ("cluster/a", "settings.apply", "paused", None),
        ("cluster/b", "settings.apply", "running", 5.0),
    ]
