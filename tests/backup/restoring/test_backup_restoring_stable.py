"""A plan is shown, approved and made once more: nothing in it changes by itself while the cluster goes on writing."""

import pytest
from restoring_kit import SEGMENT, at, backup_set, catalog, position, rules, samples, segments

from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.ports.backup.model import RecoveryTarget, TargetKind

LATEST = RecoveryTarget(kind=TargetKind.LATEST)
FULL, DUMP = backup_set("a", 1.5, 2.5), backup_set("d", 5, 6, has_log=False)


def planned(
    target: RecoveryTarget, *, minutes: int, position_value: int | None = None, holes: tuple[int, ...] = ()
) -> RestorePlan:
    """As it would be with the log of so many minutes."""
    found = catalog(FULL, DUMP, logs=[one for number, one in enumerate(segments(range(1, minutes)), 1) if number not in holes])
    choice = RestoreChoice(position=None if position_value is None else position(position_value))
    return plan_restore(found, target, now=at(10_000), clock_samples=samples(range(minutes)), choice=choice)


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        (LATEST, "backup.copy_without_log_passed_over"),
        (RecoveryTarget(kind=TargetKind.TIME, at=at(60)), "backup.reach_unknown"),
    ],
    ids=["latest-beside-a-dump", "a-moment-not-reached-yet"],
)
def test_log_that_comes_in_between_two_looks_changes_no_word_of_a_plan(target: RecoveryTarget, rule: str) -> None:
    earlier, later = planned(target, minutes=20), planned(target, minutes=25)
    assert earlier.end != later.end
    assert rule in rules(earlier)
    assert earlier.problems == later.problems


def test_a_position_where_the_last_file_ends_is_reached_with_the_log() -> None:
    wanted = RecoveryTarget(kind=TargetKind.POSITION, value="edge")
    edge = 20 * SEGMENT
    assert planned(wanted, minutes=20, position_value=edge).may_end_with_log
    for other in (edge - 1, edge + 1):
        assert not planned(wanted, minutes=20, position_value=other).may_end_with_log
    assert not planned(wanted, minutes=20, position_value=edge, holes=(7,)).may_end_with_log
