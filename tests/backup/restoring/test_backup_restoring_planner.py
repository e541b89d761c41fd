"""The planner picks the newest set that can be used, and says what it cannot bring back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from restoring_kit import SEGMENT, at, backup_set, catalog, ids, names, position, rules, samples, segment, segments, switch

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.model import Catalog, SetState
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.errors import InvalidTarget, NoSetForTarget
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.ports.backup.model import RecoveryTarget, TargetKind

LATER = at(10_000)
ANY = RestoreChoice()


def to_time(
    found: Catalog,
    moment: datetime,
    clock: Sequence[ClockSample] = (),
    choice: RestoreChoice = ANY,
    **given: object,
) -> RestorePlan:
    target = RecoveryTarget(kind=TargetKind.TIME, at=moment, **given)  # type: ignore[arg-type]
    return plan_restore(found, target, now=LATER, clock_samples=clock, choice=choice)


TWO_FULLS = catalog(backup_set("a", 1.5, 2.5), backup_set("b", 10.5, 12.5), logs=segments(range(1, 30)))


def test_the_newest_set_that_ended_before_the_moment_is_taken() -> None:
    plan = to_time(TWO_FULLS, at(20), samples(range(30)))
    assert ids(plan) == ["b"]
    assert plan.is_possible
    assert names(plan) == list(range(10, 20))
    assert plan.loss is None


def test_a_moment_at_which_a_copy_ended_is_not_recovered_from_that_copy() -> None:
    """PostgreSQL would go on to the next commit and give newer data than were asked for."""
    assert ids(to_time(TWO_FULLS, at(12.5), samples(range(30)))) == ["a"]
    assert ids(to_time(TWO_FULLS, at(12.6), samples(range(30)))) == ["b"]


def test_a_moment_before_every_set_says_what_can_be_recovered() -> None:
    with pytest.raises(
        NoSetForTarget, match=r"lies before everything .* set a is consistent from 2026-11-20 12:02:30Z"
    ) as caught:
        to_time(TWO_FULLS, at(2), samples(range(30)))
    assert "--set a" in (caught.value.hint or "")


def test_a_moment_in_the_future_is_refused() -> None:
    with pytest.raises(InvalidTarget, match=r"lies 1m in the future"):
        plan_restore(TWO_FULLS, RecoveryTarget(kind=TargetKind.TIME, at=at(21)), now=at(20))


def test_a_moment_without_time_zone_is_refused() -> None:
    with pytest.raises(InvalidTarget, match="no time zone"):
        to_time(TWO_FULLS, at(20).replace(tzinfo=None))


def test_incrementals_are_taken_with_all_that_they_stand_on() -> None:
    found = catalog(
        backup_set("a", 1.5, 2.5),
        backup_set("b", 5.5, 6.5, parent="a"),
        backup_set("c", 8.5, 9.5, parent="b"),
        logs=segments(range(1, 20)),
    )
    plan = to_time(found, at(12), samples(range(20)))
    assert ids(plan) == ["a", "b", "c"]
    assert names(plan)[0] == 8


@pytest.mark.parametrize(
    ("parent", "word"),
    [
        (None, "not in the catalog"),
        (backup_set("b", 5.5, 6.5, state=SetState.TOMBSTONED), "which is tombstoned"),
        (backup_set("b", 5.5, 6.5, state=SetState.VERIFIED), "which is verified"),
        (backup_set("b", 5.5, 6.5, system_id="9"), "of another system"),
        (backup_set("b", 5.5, 6.5, parent="c"), "stands on itself"),
    ],
    ids=["missing", "expired", "not-sealed", "other-system", "circle"],
)
def test_a_broken_chain_is_passed_over_and_told(parent: object, word: str) -> None:
    sets = [backup_set("a", 1.5, 2.5), backup_set("c", 8.5, 9.5, parent="b"), *([parent] if parent else [])]
    plan = to_time(catalog(*sets, logs=segments(range(1, 20))), at(12), samples(range(20)))  # type: ignore[arg-type]
    assert ids(plan) == ["a"]
    assert set(rules(plan)) == {"backup.set_passed_over"}
    assert word in plan.problems[0].message
    assert plan.is_possible


def test_a_set_whose_own_log_is_missing_is_passed_over() -> None:
    found = catalog(
        backup_set("a", 1.5, 2.5),
        backup_set("b", 10.5, 12.5),
        logs=[one for one in TWO_FULLS.logs if one is not TWO_FULLS.logs[10]],
    )
    plan = to_time(found, at(20), samples(range(30)))
    assert ids(plan) == ["a"]
    assert "needs log from" in plan.problems[0].message
    assert not plan.is_possible  # the older set needs that log as well
    assert plan.end == position(11 * SEGMENT)
    assert plan.loss is not None
    assert plan.loss.until == at(11)


def test_a_hole_before_the_moment_stands_in_the_way_until_the_loss_is_accepted() -> None:
    found = catalog(*TWO_FULLS.sets, logs=[one for one in TWO_FULLS.logs if one is not TWO_FULLS.logs[14]])
    plan = to_time(found, at(20), samples(range(30)))
    assert [one.rule for one in plan.blocking] == ["backup.lost_tail"]
    assert "0/F000000 to 0/10000000" in plan.blocking[0].message
    assert "5m" in plan.blocking[0].message
    accepted = to_time(found, at(20), samples(range(30)), RestoreChoice(accept_loss=True))
    assert accepted.is_possible
    assert accepted.target.kind is TargetKind.LATEST
    assert accepted.asked.kind is TargetKind.TIME
    assert names(accepted) == [10, 11, 12, 13, 14]
    assert accepted.loss is not None
    assert (accepted.loss.seconds, accepted.loss.until) == (300.0, at(15))


def test_a_hole_behind_the_moment_does_not_matter() -> None:
    found = catalog(*TWO_FULLS.sets, logs=[one for one in TWO_FULLS.logs if one is not TWO_FULLS.logs[24]])
    assert to_time(found, at(20), samples(range(30))).is_possible


def test_a_moment_beyond_the_log_says_how_much_is_lost() -> None:
    plan = to_time(TWO_FULLS, at(33), samples(range(40)))
    assert [one.rule for one in plan.blocking] == ["backup.lost_tail"]
    assert plan.loss is not None
    assert (plan.loss.seconds, plan.loss.bytes) == (180.0, 3 * SEGMENT)
    assert "48.0 MiB" in plan.blocking[0].message


def test_nothing_is_lost_where_nothing_was_written_since() -> None:
    """An idle server: its position at the moment is one that the log holds."""
    idle = [*samples(range(26)), *(one for one in _idle(26, 60))]
    plan = to_time(TWO_FULLS, at(50), idle)
    assert plan.is_possible
    assert plan.loss is None
    assert plan.may_end_with_log


def _idle(first: int, last: int) -> list[ClockSample]:
    (still,) = samples([25.5])
    return [
        ClockSample(cluster="orders", system_id=still.system_id, at=at(one), timeline=1, value=still.value)
        for one in range(first, last)
    ]


def test_a_busy_moment_must_be_reached_by_the_server_itself() -> None:
    """Where a commit after the moment is known, the end of the log is not as good as the moment."""
    logs = [*segments(range(1, 29)), segment(29, last_commit=29.9)]
    plan = to_time(catalog(*TWO_FULLS.sets, logs=logs), at(29.5))
    assert plan.is_possible
    assert not plan.may_end_with_log


def test_without_a_clock_what_is_lost_is_unknown_and_never_nothing() -> None:
    plan = to_time(TWO_FULLS, at(33))
    assert plan.is_possible
    assert rules(plan) == ["backup.reach_unknown"]
    assert plan.loss is None


def test_the_commits_in_the_log_are_a_clock_as_well() -> None:
    logs = [*segments(range(1, 20)), segment(20, last_commit=20.9)]
    assert rules(to_time(catalog(*TWO_FULLS.sets, logs=logs), at(20.5))) == []


def test_after_a_failover_the_way_leads_over_both_timelines() -> None:
    found = catalog(
        backup_set("a", 1.5, 2.5),
        logs=[*segments(range(1, 9)), *segments(range(8, 20), timeline=2)],
        switches=[switch(2, 1, 8.5)],
    )
    plan = to_time(found, at(15), [*samples(range(9)), *samples(range(9, 20), timeline=2)])
    assert plan.timeline == 2
    assert plan.target.timeline == 2
    assert [one.file.timeline for one in plan.logs] == [1] * 7 + [2] * 7
    assert plan.is_possible


def test_a_moment_on_an_abandoned_branch_is_recovered_on_that_branch() -> None:
    """At minute 12 the cluster was set back to minute 5; minute 9 lies on timeline 1, and not on the way to timeline 2."""
    found = catalog(
        backup_set("a", 1.5, 2.5),
        logs=[*segments(range(1, 12)), *segments(range(5, 30), timeline=2)],
        switches=[switch(2, 1, 5.5)],
    )
    after = [
        ClockSample(cluster="orders", system_id=one.system_id, at=at(12 + index), timeline=2, value=one.value)
        for index, one in enumerate(samples(range(6, 20), timeline=2))
    ]
    plan = to_time(found, at(9), [*samples(range(12)), *after])
    assert plan.timeline == 1
    assert rules(plan) == ["backup.other_branch"]
    assert plan.is_possible
    chosen = to_time(found, at(20), [*samples(range(12)), *after])
    assert chosen.timeline == 2
    assert "backup.other_branch" not in rules(chosen)


def test_what_an_old_primary_wrote_after_the_failover_is_told_as_lost() -> None:
    """At minute 8 another server was promoted; the old one went on for 4 minutes, of which 3 were received."""
    found = catalog(
        backup_set("a", 1.5, 2.5),
        logs=[*segments(range(1, 11)), *segments(range(8, 20), timeline=2)],
        switches=[switch(2, 1, 8)],
    )
    clock = [*samples(range(13)), *samples(range(13, 20), timeline=2)]
    (told,) = to_time(found, at(15), clock).problems
    assert (told.rule, told.is_blocking) == ("backup.tail_left_behind", False)
    assert "timeline 1 went on after the service had left it: 64.0 MiB of log until 2026-11-20 12:12:00Z" in told.message
    assert "--timeline 1" in (told.hint or "")
    assert rules(to_time(found, at(7), clock)) == [], "before the failover nothing is missing"
    alone = plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST), now=LATER)
    assert "48.0 MiB of log are not on timeline 2" in alone.problems[0].message, "whole files are known without a clock"
    on_one = plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST, timeline=1), now=LATER, clock_samples=clock)
    assert (names(on_one)[-1], rules(on_one)) == (10, [])


def test_a_timeline_of_which_nobody_knows_where_it_began_is_told_and_not_gone_along() -> None:
    """Just after a promotion the first log of the new timeline may be there before its history file is."""
    found = catalog(backup_set("a", 1.5, 2.5), logs=[*segments(range(1, 9)), segment(8, timeline=2)])
    plan = plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST), now=LATER)
    assert (plan.timeline, rules(plan)) == (1, ["backup.other_branch"])
    assert "log of timeline 2 came in, and its history file" in plan.problems[0].message
    clock = [*samples(range(8)), *samples(range(8, 12), timeline=2)]
    assert to_time(found, at(5), clock).timeline == 1
    with pytest.raises(NoSetForTarget, match="lived on timeline 2 at that moment") as caught:
        to_time(found, at(10), clock)
    assert "wait until its history file is stored" in (caught.value.hint or "")
    assert to_time(found, at(10), clock, timeline=1).timeline == 1


def test_a_timeline_that_is_asked_for_is_taken() -> None:
    found = catalog(
        backup_set("a", 1.5, 2.5),
        logs=[*segments(range(1, 12)), *segments(range(5, 30), timeline=2)],
        switches=[switch(2, 1, 5.5)],
    )
    assert to_time(found, at(9), samples(range(12)), timeline=2).timeline == 2


def test_the_system_that_lived_at_the_moment_is_recovered_after_a_rebuild() -> None:
    other = backup_set("n", 40.5, 41.5, system_id="9")
    found = catalog(*TWO_FULLS.sets, other, logs=[*TWO_FULLS.logs, *(segment(one, system_id="9") for one in range(40, 60))])
    clock = [*samples(range(30)), *samples(range(40, 60), system_id="9")]
    assert to_time(found, at(20), clock).system_id != "9"
    assert to_time(found, at(50), clock).system_id == "9"


def test_all_that_there_is() -> None:
    plan = plan_restore(TWO_FULLS, RecoveryTarget(kind=TargetKind.LATEST), now=LATER)
    assert ids(plan) == ["b"]
    assert plan.is_possible
    assert names(plan) == list(range(10, 30))


def test_all_that_there_is_tells_of_a_hole() -> None:
    found = catalog(*TWO_FULLS.sets, logs=[one for one in TWO_FULLS.logs if one is not TWO_FULLS.logs[20]])
    plan = plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST), now=LATER)
    assert [one.rule for one in plan.blocking] == ["backup.lost_tail"]


def test_the_copy_itself_needs_only_its_own_log() -> None:
    plan = plan_restore(TWO_FULLS, RecoveryTarget(kind=TargetKind.IMMEDIATE), now=LATER, choice=RestoreChoice(set_id="a"))
    assert ids(plan) == ["a"]
    assert names(plan) == [1, 2]


def test_a_position_takes_the_newest_set_at_or_before_it() -> None:
    target = RecoveryTarget(kind=TargetKind.POSITION, value="0/C800000")
    for value, expected in ((round(12.5 * SEGMENT), "b"), (round(12.5 * SEGMENT) - 1, "a")):
        plan = plan_restore(TWO_FULLS, target, now=LATER, choice=RestoreChoice(position=position(value)))
        assert ids(plan) == [expected]


def test_a_position_beyond_the_log_stands_in_the_way() -> None:
    target = RecoveryTarget(kind=TargetKind.POSITION, value="0/FF000000")
    plan = plan_restore(TWO_FULLS, target, now=LATER, choice=RestoreChoice(position=position(0xFF000000)))
    assert [one.rule for one in plan.blocking] == ["backup.lost_tail"]


@pytest.mark.parametrize(("beyond", "rules_told"), [(0, []), (1, ["backup.lost_tail"])])
def test_a_position_beyond_what_was_received_and_not_stored_yet_stands_in_the_way(beyond: int, rules_told: list[str]) -> None:
    last = max(TWO_FULLS.logs, key=lambda one: one.file.end).file
    received = (replace(last, name="next", start=last.end, end=last.end + SEGMENT),)
    target = RecoveryTarget(kind=TargetKind.POSITION, value="0/FF000000")
    choice = RestoreChoice(position=position(last.end + SEGMENT + beyond), received=received)
    assert [one.rule for one in plan_restore(TWO_FULLS, target, now=LATER, choice=choice).blocking] == rules_told


def test_a_name_is_told_to_be_looked_for_from_the_newest_set_on() -> None:
    target = RecoveryTarget(kind=TargetKind.NAME, value="before_migration")
    assert rules(plan_restore(TWO_FULLS, target, now=LATER)) == ["backup.target_not_located"]
    assert rules(plan_restore(TWO_FULLS, target, now=LATER, choice=RestoreChoice(set_id="a"))) == ["backup.target_not_located"]


def test_a_set_that_lies_in_no_chosen_vault_stands_in_the_way() -> None:
    found = catalog(backup_set("a", 1.5, 2.5, vaults=("near",)), logs=segments(range(1, 20)))
    plan = to_time(found, at(10), samples(range(20)), RestoreChoice(vaults=("far",)))
    assert [one.rule for one in plan.blocking] == ["backup.set_not_in_vault"]
    assert to_time(found, at(10), samples(range(20))).vaults == ("near",)


def test_a_copy_without_log_is_the_state_of_its_own_moment() -> None:
    found = catalog(backup_set("a", 1.5, 2.5, has_log=False))
    assert plan_restore(found, RecoveryTarget(kind=TargetKind.LATEST), now=LATER).is_possible
    plan = to_time(found, at(10))
    assert [one.rule for one in plan.blocking] == ["backup.lost_tail"]
    assert plan.loss is not None
    assert plan.loss.seconds == 450.0


def test_without_a_sealed_set_nothing_can_be_planned() -> None:
    with pytest.raises(NoSetForTarget, match="no sealed set to recover from; 1 set in other states"):
        to_time(catalog(backup_set("a", 1.5, 2.5, state=SetState.FAILED)), at(10))


@given(
    fulls=st.lists(st.integers(1, 40), min_size=1, max_size=5, unique=True),
    lost=st.sets(st.integers(1, 49), max_size=4),
    minute=st.integers(2, 49),
)
def test_the_choice_is_that_of_a_search_through_everything(fulls: list[int], lost: set[int], minute: int) -> None:
    """Brute force: the newest set with all its log that ended before the moment; possible if no segment up to it is lost."""
    sets = [backup_set(f"s{one:02}", one + 0.2, one + 0.8) for one in sorted(fulls)]
    found = catalog(*sets, logs=segments(one for one in range(1, 50) if one not in lost))
    usable = [one for one in fulls if one + 0.8 < minute and one not in lost]
    clock = samples(range(51))
    if not usable:
        with pytest.raises(NoSetForTarget):
            to_time(found, at(minute), clock)
        return
    plan = to_time(found, at(minute), clock)
    assert ids(plan) == [f"s{max(usable):02}"]
    assert plan.is_possible == all(one not in lost for one in range(max(usable), minute))
