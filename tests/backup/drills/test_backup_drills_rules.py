"""Rules of drills without any server: verdict, draw, errors, coverage, reach, answers of queries."""

from typing import Any
from uuid import UUID

import pytest
from drills_kit import SYSTEM, at, backup_set, drill, position
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.documents import QueryDocument
from dbre.capabilities.backup.drilling.coverage import proven_coverage, proven_points
from dbre.capabilities.backup.drilling.draw import draw_moment
from dbre.capabilities.backup.drilling.failures import result_of_error
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.drilling.query_check import objections
from dbre.capabilities.backup.drilling.reaching import due_position, known_until, recovery_point_seconds, result_of_recovery
from dbre.capabilities.backup.drilling.recording import drill_of, evidence_of
from dbre.capabilities.backup.drilling.verdict import judge
from dbre.capabilities.backup.log.gaps import Span
from dbre.capabilities.backup.model import DrillVerdict, RecoveryInterval
from dbre.capabilities.backup.restoring.errors import NoSetForTarget, RestoreImpossible
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.core.errors import DbreError, Unreachable, Unsupported
from dbre.core.fleet import Address
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.errors import CopyDamaged, LogConflict, LogGap, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import RecoveryOutcome, RecoveryTarget, TargetKind
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

GOOD = [
    passed("L0", "catalog", "a set"),
    passed("L1", "copies", "equal"),
    passed("L2", "log", "whole"),
    passed("L3", "recovery", "came to the target"),
    passed("L4", "checksums", "12 tables are sound"),
    passed("L5", "canary", "unbroken"),
]
NO_AMCHECK = inconclusive("L4", "amcheck/indexes", "the database has no extension amcheck")


# --- verdict


def test_what_came_to_its_target_and_was_compared_is_proved() -> None:
    found = judge(GOOD)
    assert (found.verdict, found.level) == (DrillVerdict.PASS, "L5")
    assert found.reason == "came to the target"


def test_a_check_that_is_not_there_is_told_and_stands_in_nobodys_way() -> None:
    found = judge([*GOOD, NO_AMCHECK])
    assert found.verdict is DrillVerdict.PASS
    assert "not looked at: L4 amcheck/indexes: the database has no extension amcheck" in found.reason


@pytest.mark.parametrize("number", range(len(GOOD)), ids=[one.level for one in GOOD])
def test_one_failure_at_any_level_fails_and_nothing_above_it_counts(number: int) -> None:
    results = [*GOOD[:number], failed(GOOD[number].level, "thing", "is damaged"), *GOOD[number + 1 :]]
    found = judge(results)
    assert found.verdict is DrillVerdict.FAIL
    assert found.reason == f"{GOOD[number].level} thing: is damaged"
    assert found.level == (GOOD[number - 1].level if number else "none")


def test_a_missing_extension_is_inconclusive_and_named() -> None:
    found = judge([*GOOD, inconclusive("L4", "extensions", "missing extension postgis 3.4")])
    assert (found.verdict, found.reason) == (DrillVerdict.INCONCLUSIVE, "L4 extensions: missing extension postgis 3.4")


def test_a_server_whose_data_nothing_was_compared_with_proves_nothing() -> None:
    found = judge(GOOD[:-1])
    assert found.verdict is DrillVerdict.INCONCLUSIVE
    assert "enable the canary" in found.reason


def test_a_failure_outweighs_what_could_not_be_looked_at() -> None:
    results = [inconclusive("L1", "copies", "no answer"), failed("L5", "canary", "row 7 is missing")]
    assert judge(results).verdict is DrillVerdict.FAIL


def test_no_results_are_no_proof() -> None:
    assert (judge([]).verdict, judge([]).level) == (DrillVerdict.INCONCLUSIVE, "none")


@given(st.lists(st.sampled_from([*GOOD, NO_AMCHECK, failed("L2", "log", "hole"), inconclusive("L5", "rows", "changed")])))
def test_nothing_passes_without_l3_and_l5_or_with_a_failure(results: list[RestoredResult]) -> None:
    levels = {one.level for one in results if one.outcome is CheckOutcome.PASS}
    blocked = any(one.outcome is CheckOutcome.FAIL or one.name == "rows" for one in results)
    assert (judge(results).verdict is DrillVerdict.PASS) == ({"L3", "L5"} <= levels and not blocked)


# --- errors on the way

ERRORS: list[tuple[str, DbreError, str | None, CheckOutcome, str]] = [
    ("nothing-to-restore", NoSetForTarget("no set"), None, CheckOutcome.FAIL, "L0"),
    ("damaged-copy", CopyDamaged("size base/1: 10"), "verify", CheckOutcome.FAIL, "L1"),
    ("damaged-log", CopyDamaged("crc"), "scan", CheckOutcome.FAIL, "L2"),
    ("gap", LogGap("gone"), "verify", CheckOutcome.FAIL, "L2"),
    ("conflict", LogConflict("two"), "fetch_log", CheckOutcome.FAIL, "L2"),
    ("does-not-boot", RecoveryFailed("FATAL"), "scan", CheckOutcome.FAIL, "L3"),
    ("target-not-reached", TargetNotReached("ended"), "combine", CheckOutcome.FAIL, "L3"),
    ("vault-silent", Unreachable("no answer"), "fetch", CheckOutcome.INCONCLUSIVE, "L1"),
    ("no-programs", Unsupported("no postgres 14"), "combine", CheckOutcome.INCONCLUSIVE, "L3"),
    ("program-failed", ProgramFailed("rc 139"), "combine", CheckOutcome.INCONCLUSIVE, "L3"),
]


@pytest.mark.parametrize(("error", "phase", "outcome", "level"), [one[1:] for one in ERRORS], ids=[one[0] for one in ERRORS])
def test_an_error_speaks_against_the_backup_or_only_of_this_machine(
    error: DbreError, phase: str | None, outcome: CheckOutcome, level: str
) -> None:
    found = result_of_error(error, phase=phase)
    assert (found.outcome, found.level) == (outcome, level)
    assert error.message in found.detail


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        pytest.param("backup.lost_tail", CheckOutcome.FAIL, id="lost-tail"),
        pytest.param("backup.set_not_in_vault", CheckOutcome.FAIL, id="not-in-vault"),
        pytest.param("backup.no_space", CheckOutcome.INCONCLUSIVE, id="no-space"),
    ],
)
def test_a_plan_that_is_impossible_fails_only_for_reasons_of_the_backup(rule: str, outcome: CheckOutcome) -> None:
    error = RestoreImpossible("it cannot be", context={"problems": [{"rule": rule, "message": "it cannot be"}]})
    assert result_of_error(error, phase=None).outcome is outcome


# --- the moment


def interval(begin: float | None, end: float | None, timeline: int = 1) -> RecoveryInterval:
    return RecoveryInterval(
        cluster="orders",
        system_id=SYSTEM,
        timeline=timeline,
        start=position(0, timeline),
        end=position(10**9, timeline),
        start_at=None if begin is None else at(begin),
        end_at=None if end is None else at(end),
        set_ids=(),
    )


@given(number=st.uuids())
def test_a_drawn_moment_lies_in_an_interval_and_is_drawn_again_by_the_same_operation(number: UUID) -> None:
    intervals = [interval(0, 100), interval(500, 600, 2), interval(None, 50), interval(900, None)]
    found = draw_moment(intervals, seed=number, not_after=at(10_000))
    assert found == draw_moment(intervals, seed=number, not_after=at(10_000))
    assert found.kind is TargetKind.TIME
    assert found.at is not None
    assert (found.timeline == 1 and at(0) < found.at <= at(100)) or (found.timeline == 2 and at(500) < found.at <= at(600))


def test_draws_cover_the_intervals_evenly() -> None:
    intervals = [interval(0, 100), interval(500, 600, 2)]
    drawn = [draw_moment(intervals, seed=UUID(int=number), not_after=at(10_000)) for number in range(400)]
    second = sum(one.timeline == 2 for one in drawn)
    assert 140 < second < 260
    assert {int((one.at - (at(0) if one.timeline == 1 else at(500))).total_seconds() // 10) for one in drawn if one.at} >= set(
        range(10)
    )


def test_nothing_after_now_is_drawn_and_without_times_the_newest_state_is() -> None:
    found = draw_moment([interval(0, 100)], seed=UUID(int=5), not_after=at(10))
    assert found.at is not None
    assert found.at <= at(10)
    assert draw_moment([interval(None, None)], seed=UUID(int=5), not_after=at(10)).kind is TargetKind.LATEST
    assert draw_moment([], seed=UUID(int=5), not_after=at(10)).kind is TargetKind.LATEST


# --- the end of recovery

LINE = (Span(1, 0, None),)


def order(kind: TargetKind = TargetKind.LATEST, **given: Any) -> DrillOrder:
    target = RecoveryTarget(kind=kind, at=given.pop("at", None), value=given.pop("value", None))
    return DrillOrder(
        id=UUID(int=1), cluster="orders", target=target, position=given.pop("position", None), set_id=None, mode="faithful",
        asked_at=at(1000),
    )  # fmt: skip


def plan(**changes: Any) -> RestorePlan:
    values: dict[str, Any] = {
        "cluster": "orders", "engine": "postgresql", "system_id": SYSTEM, "asked": RecoveryTarget(kind=TargetKind.LATEST),
        "target": RecoveryTarget(kind=TargetKind.LATEST), "timeline": 1, "chain": (backup_set(),), "logs": (),
        "start": position(1000), "end": position(10**9), "end_at": None, "may_end_with_log": False, "loss": None,
        "problems": (), "vaults": ("near",),
    }  # fmt: skip
    return RestorePlan(**(values | changes))


def outcome(value: int | None, *, has_reached: bool = True, last: float | None = None) -> RecoveryOutcome:
    return RecoveryOutcome(
        has_reached_target=has_reached,
        reason="recovery stopping before commit of transaction 742",
        position=None if value is None else position(value),
        last_commit_at=None if last is None else at(last),
        timeline=1,
        phases=(),
        address=Address("/run/jail", 5432),
        is_jailed=True,
    )


def samples(*pairs: tuple[float, int]) -> list[ClockSample]:
    return [ClockSample(cluster="orders", system_id=SYSTEM, at=at(when), timeline=1, value=value) for when, value in pairs]


def test_recovery_that_ends_before_where_the_log_is_known_to_have_been_fails() -> None:
    known = samples((10, 200_000), (20, 400_000))
    asked = order()
    due = due_position(plan(), asked, known, LINE)
    assert due == 400_000
    found = result_of_recovery(plan(), asked, outcome(200_000), due)
    assert found.outcome is CheckOutcome.FAIL
    assert "200000 B before" in found.detail
    assert result_of_recovery(plan(), asked, outcome(399_900), due).outcome is CheckOutcome.PASS


def test_a_target_in_time_is_due_up_to_the_last_sample_before_it() -> None:
    asked = order(TargetKind.TIME, at=at(15))
    assert due_position(plan(), asked, samples((10, 200_000), (20, 400_000)), LINE) == 200_000


def test_the_end_of_the_log_is_no_target_unless_the_plan_says_that_it_is_as_good() -> None:
    asked = order(TargetKind.TIME, at=at(15))
    assert result_of_recovery(plan(), asked, outcome(10**6, has_reached=False), None).outcome is CheckOutcome.FAIL
    quiet = plan(may_end_with_log=True)
    assert result_of_recovery(quiet, asked, outcome(10**6, has_reached=False), None).outcome is CheckOutcome.PASS


def test_the_recovery_point_is_measured_from_what_is_known_and_unknown_without() -> None:
    known = samples((990, 400_000))
    until = known_until(outcome(400_000, last=700), known, LINE, system_id=SYSTEM, canary_at=at(980))
    assert until == at(990)
    assert recovery_point_seconds(order(), until) == 10.0
    assert recovery_point_seconds(order(TargetKind.TIME, at=at(985)), until) == 0.0
    nothing = known_until(outcome(None), [], LINE, system_id=SYSTEM, canary_at=None)
    assert recovery_point_seconds(order(), nothing) is None


def test_an_order_and_a_drill_come_back_from_json_as_they_were() -> None:
    one = order(TargetKind.POSITION, value="0/5000", position=position(0x5000))
    assert DrillOrder.from_document(one.document()) == one
    done = drill(results=(passed("L5", "canary", "good", 1.5, rows=3),))
    assert drill_of(evidence_of(done)) == done


# --- coverage


def test_coverage_counts_points_in_intervals_and_the_longest_stretch_without() -> None:
    drills = [
        drill(1, target_value=at(25).isoformat()),
        drill(2, target_value=at(5_000).isoformat()),  # no longer recoverable
        drill(3, target_value=at(60).isoformat(), verdict=DrillVerdict.FAIL),
    ]
    found = proven_coverage([interval(0, 100)], proven_points(drills))
    assert [one.at for one in found.points] == [at(25)]
    assert (found.seconds, found.longest_unproven_seconds, found.parts_proven) == (100.0, 75.0, 1)


def test_nothing_known_is_nothing_covered() -> None:
    found = proven_coverage([interval(None, 5)], proven_points([drill()]))
    assert (found.points, found.seconds, found.parts) == ((), 0, 0)


# --- answers of queries

ANSWERS: list[tuple[str, dict[str, Any], dict[str, object], list[str]]] = [
    ("true", {}, {"ok": True}, []),
    ("false", {}, {"ok": False}, ["ok is false, and must be true"]),
    ("null", {}, {"ok": None}, ["ok is NULL, and must be true"]),
    ("equal-number", {"expect": {"n": 3}}, {"n": 3}, []),
    ("equal-as-text", {"expect": {"n": 3}}, {"n": "3"}, []),
    (
        "other-text",
        {"expect": {"name": "a"}},
        {"name": "secret of a person"},
        ["name is another text, and must be another text"],
    ),
    ("expected-null", {"expect": {"n": None}}, {"n": None}, []),
    ("not-null", {"expect": {"n": None}}, {"n": 4}, ["n is 4, and must be NULL"]),
    ("enough", {"at_least": {"n": 3}}, {"n": 3}, []),
    ("too-few", {"at_least": {"n": 3}}, {"n": 2}, ["n is 2, and must be at least 3"]),
    ("no-column", {"at_least": {"m": 3}}, {"n": 2}, ["the answer has no column m"]),
    ("nan", {"at_least": {"n": 3}}, {"n": float("nan")}, ["n is nan, and must be at least 3"]),
]


@pytest.mark.parametrize(("asked", "row", "expected"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS])
def test_an_answer_is_compared_and_never_quoted(asked: dict[str, Any], row: dict[str, object], expected: list[str]) -> None:
    assert objections(QueryDocument(name="q", sql="SELECT 1", **asked), row) == expected
