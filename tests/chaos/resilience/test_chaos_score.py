"""Scores: the formula, what makes a run worth nothing, age, coverage, and how sure one can be."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resilience_kit import BEGAN, at, made_run

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.runs.measures import detection_of, signs_of
from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.score import cluster_score, run_score
from dbre.capabilities.chaos.suite.required import REQUIRED, entry_of

BAD = {"probe": "p", "good": 5, "bad": 5, "first_bad": "x", "first_bad_at": at(3), "longest_seconds": 5.0, "holds": True}
TOTAL = sum(one.weight for one in REQUIRED)


def value(**observed: Any) -> float:
    found = run_score(made_run(**observed))
    assert found is not None
    return found.value


def test_all_is_well() -> None:
    assert value() == pytest.approx(1.0)


def test_a_recovery_that_takes_four_times_as_long_as_it_may_counts_a_quarter() -> None:
    assert value(settled_at=at(11 + 240)) == pytest.approx(0.5 + 0.3 / 4 + 0.2)


def test_a_hypothesis_that_did_not_hold_costs_half() -> None:
    assert value(state=RunState.DEVIATED) == pytest.approx(0.5)


def test_what_nobody_noticed_in_time_costs_a_fifth() -> None:
    assert value(during=[BAD]) == pytest.approx(1.0)
    late = {**BAD, "first_bad_at": at(1 + 61)}
    assert value(during=[late]) == pytest.approx(0.8)


def test_what_nobody_could_feel_need_not_be_noticed() -> None:
    calm = {"lost": 0, "overlap": 0, "failed": 0, "unknown": 0, "outage_seconds": 0.08}
    assert value(clients=calm) == pytest.approx(1.0)
    assert value(clients={**calm, "failed": 3}) == pytest.approx(0.8)


def test_the_first_sign_counts_and_none_from_before() -> None:
    around = {"before": [], "during": [], "after": [], "incidents": [{"name": "INC-1", "detected_at": at(0)}]}
    run = replace(made_run(during=[BAD], paged={"writes": at(2)}), surroundings=around)
    found = detection_of(run)
    assert found is not None
    assert (found.seconds, found.by) == (1.0, "a page of writes")


@pytest.mark.parametrize(
    "observed",
    [
        {"clients": {"lost": 1}},
        {"clients": {"lost": 0, "overlap": 2}},
        {"clients": {"anomalies": 1}},
        {"revert_seconds": 30.0},
        {"faults": [{"fault": "freeze", "instance": "a", "is_reverted": False, "on_at": at(1)}]},
    ],
    ids=["loss", "two primaries", "anomaly", "abort not honoured", "not reverted"],
)
def test_what_must_never_happen_is_worth_nothing(observed: dict[str, Any]) -> None:
    found = run_score(made_run(**observed))
    assert found is not None
    assert (found.value, len(found.gates)) == (0.0, 1)


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED, RunState.RUNNING], ids=str)
def test_a_run_that_says_nothing_has_no_score_and_covers_nothing(state: RunState) -> None:
    run = made_run(state=state)
    assert run_score(run) is None
    assert cluster_score("orders", [run], BEGAN).coverage == 0


def test_whoever_notices_first_is_named_and_the_others_after_it() -> None:
    run = made_run(
        clients={"first_bad_at": at(0.8), "failed": 3},  # between the act and the proof that it is on
        bereft={"east": at(3), "west": at(5)},
        paged={"orders-writes": at(31)},
        during=[{"probe": "one primary", "bad": 2, "good": 1, "first_bad_at": at(4)}],
    )
    run = replace(run, surroundings={"signs": [{"by": "failover 7", "at": at(6)}, {"by": "alert of before", "at": at(-9)}]})
    assert [(one.by, round(one.seconds, 1)) for one in signs_of(run)] == [
        ("a client", 0.0),
        ("observer east", 2.0),
        ("probe one primary", 3.0),
        ("observer west", 4.0),
        ("failover 7", 5.0),
        ("a page of orders-writes", 30.0),
    ]
    assert detection_of(run) == signs_of(run)[0]


def test_recovery_after_an_early_end_counts_where_it_was_measured() -> None:
    blind, seen = (run_score(made_run(state=RunState.ABORTED, settled_at=one)) for one in (None, at(12)))
    assert blind is not None
    assert seen is not None
    assert (blind.recovery, seen.recovery) == (0.0, 1.0)


def test_what_was_never_tried_counts_nothing_and_evidence_fades() -> None:
    fresh = cluster_score("orders", [made_run()], BEGAN)
    weight = next(one.weight for one in REQUIRED if one.name == "leader-failure")
    assert fresh.value == pytest.approx(100 * weight / TOTAL)
    assert fresh.coverage == pytest.approx(weight / TOTAL)
    assert fresh.half_width is None  # once is no distribution
    old = cluster_score("orders", [made_run(days=90)], BEGAN)
    assert old.value == pytest.approx(fresh.value / 2)
    assert old.coverage == fresh.coverage


def test_several_runs_tell_how_sure_the_score_is() -> None:
    same = cluster_score("orders", [made_run(1), made_run(2)], BEGAN)
    assert same.half_width == 0
    different = cluster_score("orders", [made_run(1), made_run(2, state=RunState.DEVIATED)], BEGAN)
    assert different.half_width is not None
    assert different.half_width > 0
    assert different.value == pytest.approx(same.value * 0.75)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    settled=st.floats(11, 10_000),
    days=st.floats(0, 1000),
    state=st.sampled_from([RunState.HELD, RunState.DEVIATED, RunState.ABORTED]),
)
def test_every_score_lies_between_nothing_and_all(settled: float, days: float, state: RunState) -> None:
    run = made_run(state=state, settled_at=at(settled), days=days)
    found = cluster_score("orders", [run], BEGAN + timedelta(days=1))
    assert 0 <= found.value <= 100


@pytest.mark.parametrize(
    ("fault", "role", "entry"),
    [
        ({"fault": "freeze"}, "primary", "leader-failure"),
        ({"fault": "crash"}, "primary", "leader-failure"),
        ({"fault": "freeze", "parameters": {"only": "archiver"}}, "primary", None),
        ({"fault": "freeze", "parameters": {"only": "startup"}}, "replica", "replica-lag"),
        ({"fault": "crash"}, "replica", None),
    ],
    ids=["all of it", "killed", "one of its processes", "what replays", "a replica"],
)
def test_only_what_takes_the_primary_away_answers_what_happens_without_it(
    fault: dict[str, Any], role: str, entry: str | None
) -> None:
    asked = Experiment.model_validate({"cluster": "orders", "faults": [{**fault, "instance": "a"}]})
    assert entry_of(asked, {"a": role}) == entry
