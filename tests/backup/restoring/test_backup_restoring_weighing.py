"""A newer copy without log against an older one with log: the one that loses less is taken, and the other is told."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from restoring_kit import at, backup_set, catalog, ids, names, rules, samples, segments

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.model import Catalog
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.ports.backup.model import RecoveryTarget, TargetKind

LATEST = RecoveryTarget(kind=TargetKind.LATEST)
TIME = RecoveryTarget(kind=TargetKind.TIME, at=at(20))
FULLS = catalog(backup_set("a", 1.5, 2.5), backup_set("b", 10.5, 12.5), logs=segments(range(1, 30)))
DUMP = backup_set("d", 15, 16, has_log=False)


def planned(
    found: Catalog, target: RecoveryTarget = LATEST, clock: Sequence[ClockSample] = (), choice: RestoreChoice | None = None
) -> RestorePlan:
    return plan_restore(found, target, now=at(10_000), clock_samples=clock, choice=choice)


def test_log_that_goes_on_after_a_newer_dump_is_taken_and_told() -> None:
    plan = planned(catalog(*FULLS.sets, DUMP, logs=FULLS.logs), LATEST, samples(range(30)))
    assert (ids(plan), rules(plan)) == (["b"], ["backup.copy_without_log_passed_over"])
    assert "set d holds what there was at 2026-11-20 12:16:00Z" in plan.problems[0].message
    assert "set b has log that leads farther" in plan.problems[0].message
    assert plan.is_possible
    assert names(plan) == list(range(10, 30))


def test_a_dump_that_is_newer_than_the_end_of_the_log_is_taken_and_told() -> None:
    short = catalog(*FULLS.sets, DUMP, logs=segments(range(1, 15)))
    for clock in (samples(range(30)), ()):
        plan = planned(short, LATEST, clock)
        assert (ids(plan), rules(plan)) == (["d"], ["backup.log_ends_before_copy"])
        assert plan.is_possible
    assert ids(planned(short, LATEST, samples(range(30)), RestoreChoice(set_id="b"))) == ["b"]


def test_a_hole_before_a_dump_makes_the_dump_the_better_one() -> None:
    holed = catalog(*FULLS.sets, DUMP, logs=[one for one in FULLS.logs if one is not FULLS.logs[13]])
    assert ids(planned(holed, LATEST, samples(range(30)))) == ["d"]


def test_without_a_clock_log_that_came_in_later_than_a_dump_goes_farther() -> None:
    assert ids(planned(catalog(*FULLS.sets, DUMP, logs=FULLS.logs))) == ["b"]


def test_log_that_came_in_late_and_lacks_what_a_dump_holds_does_not_go_farther() -> None:
    late = [replace(one, received_at=at(100)) for one in segments(range(1, 15))]
    assert ids(planned(catalog(*FULLS.sets, DUMP, logs=late), LATEST, samples(range(30)))) == ["d"]


def test_a_moment_within_the_log_never_ends_at_a_dump() -> None:
    found = catalog(*FULLS.sets, DUMP, logs=FULLS.logs)
    plan = planned(found, TIME, samples(range(30)))
    assert (ids(plan), plan.is_possible, plan.loss) == (["b"], True, None)
    beyond = planned(catalog(*FULLS.sets, DUMP, logs=segments(range(1, 15))), TIME, samples(range(30)))
    assert (ids(beyond), [one.rule for one in beyond.blocking]) == (["d"], ["backup.lost_tail"])
    assert beyond.loss is not None
    assert beyond.loss.seconds == 240.0


@pytest.mark.parametrize("kind", [TargetKind.NAME, TargetKind.TRANSACTION])
def test_a_dump_is_not_looked_through_for_what_only_log_has(kind: TargetKind) -> None:
    found = catalog(*FULLS.sets, DUMP, logs=segments(range(1, 15)))
    assert ids(planned(found, RecoveryTarget(kind=kind, value="742"))) == ["b"]
