"""Changes as DORA counts them, and toil."""

from datetime import timedelta

import pytest
from report_kit import SPAN, at, incident, work

from dbre.capabilities.report.documents import ReportDocument
from dbre.capabilities.report.dora import Dora, dora_of
from dbre.capabilities.report.toil import Actor, Toil, Trigger, toil_of_incidents, toil_of_operations, toil_report
from dbre.core.operation.states import OperationState

KINDS = ReportDocument().deployments


def dora(*operations, incidents=(), within: timedelta = timedelta(hours=24)) -> Dora:
    return dora_of(operations, incidents, SPAN, kinds=KINDS, failing_within=within)


def test_what_changes_a_database_is_a_deployment_and_what_reads_or_breaks_it_on_purpose_is_none() -> None:
    found = dora(
        work("a", 1, 2, created=0),
        work("b", 3, 4, kind="review.check", is_reading=True),
        work("c", 5, 6, kind="chaos.kill"),
        work("d", 7, 8, kind="slo.correct"),
        work("e", 9, 10, state=OperationState.FAILED),
        work("f", -9, -8),
    )
    assert (found.deployments, found.refused, found.failed) == (1, 1, 0)
    assert found.per_week == 1.0
    assert found.lead_seconds is not None
    assert found.lead_seconds.mean == 7200.0
    assert (found.failure_ratio, found.rework_ratio, found.recovery_seconds) == (0.0, 0.0, None)


def test_without_changes_no_ratio_is_defined() -> None:
    found = dora()
    assert (found.failure_ratio, found.rework_ratio, found.lead_seconds) == (None, None, None)
    assert found.per_week == 0.0


@pytest.mark.parametrize(
    ("state", "recovery"),
    [(OperationState.COMPENSATED, 3600.0), (OperationState.NEEDS_OPERATOR, None), (OperationState.CLOSED, None)],
)
def test_a_change_that_was_undone_or_given_up_failed(state: OperationState, recovery: float | None) -> None:
    found = dora(work("a", 1, 2, state=state), work("b", 3, 4))
    assert (found.deployments, found.failed, found.failure_ratio) == (2, 1, 0.5)
    assert (found.recovery_seconds.mean if found.recovery_seconds else None) == recovery


def test_an_incident_of_the_cluster_soon_after_is_the_failure_of_the_change() -> None:
    found = dora(work("a", 10, 11), incidents=[incident("i", 12, resolved=13)])
    assert found.failed == 1
    assert found.recovery_seconds is not None
    assert found.recovery_seconds.mean == 3600.0
    assert dora(work("a", 10, 11), incidents=[incident("i", 12, cluster="users")]).failed == 0
    assert dora(work("a", 10, 11), incidents=[incident("i", 9)]).failed == 0
    assert dora(work("a", 10, 11), incidents=[incident("i", 12)], within=timedelta(minutes=30)).failed == 0
    assert dora(work("a", 10, 11), incidents=[incident("i", 10.5)]).failed == 1  # while it ran


def test_a_rollback_fails_the_change_before_it_and_is_rework_itself() -> None:
    found = dora(work("a", 1, 2), work("b", 3, 5, tags=("rollback",)))
    assert (found.deployments, found.failed, found.reworked) == (2, 1, 1)
    assert found.recovery_seconds is not None
    assert found.recovery_seconds.mean == 3 * 3600.0


def toil(task: str, hours: float, minutes: float, *, person: str = "ada", actor: Actor = Actor.HUMAN) -> Toil:
    return Toil(
        id=f"{task}{hours}",
        task=task,
        actor=actor,
        person=person,
        started_at=at(hours),
        active_seconds=minutes * 60,
        is_interruptive=False,
        target="",
        trigger=Trigger.LOGGED,
    )


def test_operations_of_people_are_toil_up_to_a_limit_and_those_of_schedules_cost_nobody_time() -> None:
    found = toil_of_operations(
        [work("a", 1, 3), work("b", 4, 4.25), work("c", 5, 9, by="schedule:nightly"), work("d", 6, 7, is_reading=True)],
        most=timedelta(minutes=30),
    )
    assert [(one.actor, one.active_seconds, one.person) for one in found] == [
        (Actor.HUMAN, 1800.0, "ada"),
        (Actor.HUMAN, 900.0, "ada"),
        (Actor.AUTOMATIC, 0.0, ""),
    ]


def test_incidents_are_toil_from_the_answer_until_users_suffer_no_more() -> None:
    given = [
        incident("a", 1, acknowledged=2, mitigated=3, resolved=9, assignee="grace"),
        incident("b", 1, resolved=2),
        incident("c", 1, acknowledged=2),
    ]
    (found,) = toil_of_incidents(given, most=timedelta(hours=4))
    assert (found.active_seconds, found.is_interruptive, found.task) == (3600.0, True, "incident orders-writes")
    assert found.person == "grace"


def test_candidates_are_ranked_by_what_automation_would_save() -> None:
    given = [
        *(toil("add user", day * 24, 10) for day in range(6)),
        toil("restore test", 30, 90),
        toil("apply", 40, 30),
        *(toil("apply", 41 + index, 0, actor=Actor.AUTOMATIC, person="") for index in range(9)),
    ]
    found = toil_report(given, SPAN)
    assert [one.task for one in found.candidates] == ["restore test", "add user", "apply"]
    assert [one.score for one in found.candidates] == pytest.approx([90.0, 60.0, 3.0])
    assert found.candidates[2].automated_ratio == 0.9
    assert found.hours_per_person_week == 3.0
    assert found.ratio == 3 / 40
    assert found.is_over_cap is False


def test_what_an_automation_saved_is_the_difference_to_the_span_before() -> None:
    given = [toil("add user", -24, 60), toil("add user", 24, 15), toil("new", 25, 5)]
    found = toil_report(given, SPAN, people=2)
    assert {one.task: one.saved_minutes_per_week for one in found.candidates} == {"add user": 45.0, "new": None}
    assert found.change_ratio == pytest.approx(20 / 60 - 1)
    assert found.hours_per_person_week == pytest.approx(20 / 60 / 2)


def test_without_toil_nothing_is_defined() -> None:
    found = toil_report([], SPAN)
    assert (found.people, found.ratio, found.is_over_cap, found.change_ratio) == (None, None, None, None)
