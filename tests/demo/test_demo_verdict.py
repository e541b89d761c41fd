"""What counts as proved, and that a broken promise is told as one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dbre.demo.verdict import Act, judge_act, judge_page, judge_steady_state

START = datetime(2026, 1, 1, tzinfo=UTC)
ACT = Act(
    name="freeze",
    fault="primary frozen for 8 s",
    fault_at=START,
    cleared_at=START + timedelta(seconds=8),
    recovered_at=START + timedelta(seconds=8.2),
    slots=11,
    bad_slots=8,
    interval_seconds=1.0,
    client_operations=220,
    client_failed=150,
    client_rate_per_second=20.0,
    replica_bad_slots=0,
)


def test_agreement_to_within_one_slot_is_proved() -> None:
    assert all(check.is_kept for check in judge_act(ACT))


def test_disagreement_of_more_than_a_slot_is_not() -> None:
    kept = [check.is_kept for check in judge_act(replace(ACT, client_failed=139))]
    assert kept == [True, False, True]


def test_fault_that_nobody_felt_proves_nothing() -> None:
    kept = [check.is_kept for check in judge_act(replace(ACT, bad_slots=0, client_failed=0))]
    assert kept == [False, False, True]


def test_bad_slot_on_the_replica_is_told() -> None:
    assert not judge_act(replace(ACT, replica_bad_slots=1))[2].is_kept


def test_steady_state_needs_measurements() -> None:
    assert judge_steady_state(bad_slots=0, slots=9, client_failed=0, client_operations=180).is_kept
    assert not judge_steady_state(bad_slots=0, slots=0, client_failed=0, client_operations=0).is_kept
    assert not judge_steady_state(bad_slots=1, slots=9, client_failed=0, client_operations=180).is_kept


def test_page_must_be_one_signed_and_after_the_fault() -> None:
    facts = {"bad_since": START, "received_at": START + timedelta(seconds=6), "fault_at": START}
    assert judge_page(pages=1, unsigned=0, **facts).is_kept
    assert not judge_page(pages=2, unsigned=0, **facts).is_kept
    assert not judge_page(pages=1, unsigned=1, **facts).is_kept
    assert not judge_page(pages=1, unsigned=0, **facts | {"received_at": START - timedelta(seconds=1)}).is_kept
    assert not judge_page(pages=0, unsigned=0, **facts | {"received_at": None}).is_kept


@given(length=st.floats(2, 100), phase=st.floats(0, 1, exclude_max=True))
def test_honest_prober_and_honest_client_never_differ_by_a_slot(length: float, phase: float) -> None:
    """The criterion is not luck: whatever the phase, sampling one outage each second errs by less than a second."""
    bad = sum(1 for k in range(110) if phase <= k < phase + length)
    act = replace(ACT, bad_slots=bad, client_failed=round(length * 20))
    assert all(check.is_kept for check in judge_act(act) if "to within" in check.promise) or abs(bad - length) > 0.97
