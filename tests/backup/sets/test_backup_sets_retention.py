"""The retention keeps what its rules name, nothing else, and never what a promise needs goes; compared with a naive reading."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sets_kit import CLUSTER, SEGMENT, START, SYSTEM, backup_set, history, position, segment, set_id

from dbre.capabilities.backup.documents import RetentionDocument
from dbre.capabilities.backup.log.gaps import coverage
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog, TimelineSwitch
from dbre.capabilities.backup.retention.plan import Fate, RetentionPlan
from dbre.capabilities.backup.retention.planning import TOMBSTONED_AT, plan_retention
from dbre.core.errors import Conflict
from dbre.ports.backup.model import CopyKind

NOW = START + timedelta(days=100)
NO_WINDOW = RetentionDocument(window=None, minimum_sets=1, largest_share=1.0)


def catalog(*sets: BackupSet, logs: tuple[StoredLog, ...] = (), switches: tuple[TimelineSwitch, ...] = ()) -> Catalog:
    return Catalog(sets=tuple(sorted(sets, key=lambda one: one.started_at)), logs=logs, switches=switches)


def plan(found: Catalog, rules: RetentionDocument, now: datetime = NOW) -> RetentionPlan:
    return plan_retention(CLUSTER, found, rules, now=now)


def fates(found: RetentionPlan) -> dict[str, Fate]:
    return {one.set.id: one.fate for one in found.sets}


def reasons(found: RetentionPlan, number: int) -> tuple[str, ...]:
    (one,) = [one for one in found.sets if one.set.id == set_id(number)]
    return one.reasons


def test_the_window_keeps_the_newest_set_before_it_and_all_later_ones() -> None:
    found = plan(catalog(*(backup_set(day) for day in (60, 64, 66, 90))), RetentionDocument(minimum_sets=1, largest_share=1.0))
    assert fates(found) == {
        set_id(60): Fate.TOMBSTONE,
        set_id(64): Fate.KEEP,  # 35 days before now is day 65: without this set its first two days could not be recovered
        set_id(66): Fate.KEEP,
        set_id(90): Fate.KEEP,
    }
    assert reasons(found, 64) == ("needed to recover every moment of the last 35d",)


def test_the_first_set_of_each_day_week_month_and_year_is_kept_of_the_newest_that_have_one() -> None:
    sets = [backup_set(day) for day in range(100)]
    found = plan(
        catalog(*sets),
        RetentionDocument(window=None, daily=3, weekly=2, monthly=3, yearly=2, minimum_sets=1, largest_share=1.0),
    )
    kept = [one.set for one in found.sets if one.is_kept]
    assert {one.started_at.date().isoformat() for one in kept} == {
        "2027-02-26", "2027-02-27", "2027-02-28",  # days
        "2027-02-15", "2027-02-22",  # Mondays
        "2026-12-01", "2027-01-01", "2027-02-01",
        "2026-11-21",  # the first that there is of its year
    }  # fmt: skip
    assert reasons(found, 41) == ("first of its month", "first of its year")


def test_a_set_of_two_rules_tells_both_and_what_an_increment_stands_on_is_kept_for_it() -> None:
    chain = [
        backup_set(1),
        backup_set(2, kind=CopyKind.INCREMENTAL, parent_id=set_id(1)),
        backup_set(3, kind=CopyKind.INCREMENTAL, parent_id=set_id(2), hold="case 17"),
        backup_set(4),
        backup_set(5, proven_at=NOW),
    ]
    found = plan(catalog(*chain), NO_WINDOW)
    assert fates(found) == {
        set_id(1): Fate.KEEP,
        set_id(2): Fate.KEEP,
        set_id(3): Fate.KEEP,
        set_id(4): Fate.TOMBSTONE,
        set_id(5): Fate.KEEP,
    }
    assert reasons(found, 3) == ("held: case 17",)
    assert reasons(found, 1) == (f"needed by {set_id(3)}",)
    assert reasons(found, 5) == ("one of the newest 1 full sets", "newest proven set")


def test_the_newest_proof_is_that_of_the_newest_drill_not_of_the_newest_set() -> None:
    found = plan(catalog(backup_set(1, proven_at=NOW), backup_set(2, proven_at=START), backup_set(3)), NO_WINDOW)
    assert "newest proven set" in reasons(found, 1)
    assert fates(found)[set_id(2)] is Fate.TOMBSTONE


def test_a_locked_set_is_retained_without_error_and_keeps_what_it_stands_on() -> None:
    late = NOW + timedelta(days=1)
    sets = [
        backup_set(1),
        backup_set(2, kind=CopyKind.INCREMENTAL, parent_id=set_id(1), lock_until=late),
        backup_set(3, lock_until=NOW),
        backup_set(4, proven_at=NOW),
    ]
    found = plan(catalog(*sets), NO_WINDOW)
    assert fates(found) == {
        set_id(1): Fate.KEEP,
        set_id(2): Fate.RETAINED_BY_LOCK,
        set_id(3): Fate.TOMBSTONE,
        set_id(4): Fate.KEEP,
    }
    assert reasons(found, 2) == (f"locked until {late:%Y-%m-%d %H:%MZ}",)


def test_a_marked_set_is_deleted_after_its_grace_and_comes_back_where_a_rule_keeps_it_again() -> None:
    def marked(number: int, ago: timedelta, **changes: object) -> BackupSet:
        details = {TOMBSTONED_AT: (NOW - ago).isoformat()}
        return backup_set(number, state=SetState.TOMBSTONED, details=details, **changes)

    rules = RetentionDocument(window=None, minimum_sets=1, grace=timedelta(days=3), largest_share=1.0)
    found = plan(
        catalog(
            marked(1, timedelta(days=3)),
            marked(2, timedelta(days=2)),
            marked(3, timedelta(days=9), hold="case 17"),
            marked(4, timedelta(days=9), lock_until=NOW + timedelta(days=1)),
            replace(marked(5, timedelta(0)), details={}),
            backup_set(6, proven_at=NOW),
        ),
        rules,
    )
    assert fates(found) == {
        set_id(1): Fate.DELETE,
        set_id(2): Fate.IN_GRACE,
        set_id(3): Fate.REVIVE,
        set_id(4): Fate.RETAINED_BY_LOCK,
        set_id(5): Fate.TOMBSTONE,
        set_id(6): Fate.KEEP,
    }


def test_what_never_became_a_set_is_collected_and_what_is_being_made_is_left_alone() -> None:
    sets = [backup_set(1, proven_at=NOW)] + [
        backup_set(number, state=state)
        for number, state in enumerate(
            [SetState.FAILED, SetState.ORPHANED, SetState.RUNNING, SetState.COPIED, SetState.VERIFIED, SetState.DELETED], 2
        )
    ]
    assert fates(plan(catalog(*sets), NO_WINDOW)) == {
        set_id(1): Fate.KEEP,
        set_id(2): Fate.COLLECT,
        set_id(3): Fate.COLLECT,
        set_id(4): Fate.KEEP,
        set_id(5): Fate.KEEP,
        set_id(6): Fate.KEEP,
    }


def test_a_rebuilt_cluster_keeps_the_sets_of_its_old_system_while_that_lies_in_the_window() -> None:
    old = [backup_set(day, system_id="old") for day in (60, 80)]
    new = [backup_set(day) for day in (90, 99)]
    rules = RetentionDocument(window=timedelta(days=35), minimum_sets=1, largest_share=1.0)
    assert set(fates(plan(catalog(*old, *new), rules)).values()) == {Fate.KEEP}
    later = NOW + timedelta(days=40)
    assert fates(plan(catalog(*old, *new, backup_set(139)), rules, later)) == {
        set_id(60): Fate.TOMBSTONE,
        set_id(80): Fate.TOMBSTONE,
        set_id(90): Fate.TOMBSTONE,
        set_id(99): Fate.KEEP,
        set_id(139): Fate.KEEP,
    }


def test_a_plan_that_removes_more_than_its_share_is_objected_to() -> None:
    found = plan(
        catalog(*(backup_set(day, proven_at=START) for day in range(4))),
        RetentionDocument(window=None, minimum_sets=1, largest_share=0.7),
    )
    assert [one.rule for one in found.objections] == ["backup.expiry_share"]
    assert "3 of 4 sets would go at once (75 %); retention.largest_share is 70 %" in found.objections[0].message


def test_a_plan_that_leaves_no_proven_set_is_objected_to_and_one_that_removes_nothing_is_not() -> None:
    found = plan(catalog(backup_set(1), backup_set(2)), NO_WINDOW)
    assert [one.rule for one in found.objections] == ["backup.expiry_unproven"]
    assert plan(catalog(backup_set(2)), NO_WINDOW).objections == ()
    proven = plan(catalog(backup_set(1), backup_set(2, proven_at=START)), NO_WINDOW)
    assert proven.objections == ()


def kept_logs(found: RetentionPlan) -> list[str]:
    return [one.log.file.name for one in found.logs if one.is_kept]


def test_log_before_the_oldest_promising_set_goes_and_that_of_an_archival_set_is_kept_for_its_consistency_alone() -> None:
    rules = RetentionDocument(window=timedelta(days=35), monthly=12, minimum_sets=1, largest_share=1.0)
    sets = [
        backup_set(day, start=position(day * SEGMENT + 40), stop=position(day * SEGMENT + 300), proven_at=START)
        for day in (1, 64, 90)
    ]
    logs = tuple(segment(number, received_at=START + timedelta(days=number)) for number in range(100))
    found = plan(catalog(*sets, logs=(history(2), *logs)), rules)
    assert kept_logs(found) == [
        history(2).file.name,
        segment(1).file.name,
        *(segment(number).file.name for number in range(64, 100)),
    ]
    why = {one.log.file.name: one.reason for one in found.logs}
    assert why[segment(1).file.name] == f"makes set {set_id(1)} consistent"
    assert why[segment(2).file.name] == "before every kept set from which moments are recovered"


def test_log_is_kept_before_the_first_set_of_its_system_is_sealed() -> None:
    logs = tuple(segment(number, received_at=NOW - timedelta(minutes=1)) for number in range(3))
    assert len(kept_logs(plan(catalog(logs=logs), NO_WINDOW))) == 3
    running = backup_set(100, state=SetState.RUNNING, start=None, stop=None, started_at=NOW - timedelta(hours=1))
    old = segment(5, received_at=NOW - timedelta(days=9))
    found = plan(catalog(running, logs=(*logs, old)), NO_WINDOW)
    assert kept_logs(found) == [one.file.name for one in logs]


def test_a_set_in_its_grace_protects_its_log_until_it_is_deleted() -> None:
    details = {TOMBSTONED_AT: NOW.isoformat()}
    first = backup_set(1, state=SetState.TOMBSTONED, details=details, start=position(1 * SEGMENT), stop=position(2 * SEGMENT))
    last = backup_set(50, start=position(5 * SEGMENT), stop=position(6 * SEGMENT), proven_at=NOW)
    logs = tuple(segment(number) for number in range(8))
    rules = RetentionDocument(window=None, minimum_sets=1, grace=timedelta(days=3), largest_share=1.0)
    assert kept_logs(plan(catalog(first, last, logs=logs), rules)) == [segment(number).file.name for number in range(1, 8)]
    over = plan(catalog(first, last, logs=logs), rules, NOW + timedelta(days=3))
    assert kept_logs(over) == [segment(number).file.name for number in range(5, 8)]


# --- against a naive reading of the rules

DAYS = st.integers(0, 399)


@st.composite
def catalogs(draw: st.DrawFn) -> tuple[Catalog, RetentionDocument, datetime]:
    """Sets on two timelines of one or two systems, chains, locks, holds, proofs; log with holes."""
    count = draw(st.integers(1, 9))
    days = sorted(draw(st.lists(DAYS, min_size=count, max_size=count, unique=True)))
    fork = draw(st.integers(1, 400))
    sets: list[BackupSet] = []
    for number, day in enumerate(days):
        timeline = 1 if day < fork else 2
        whole = [one for one in sets if one.system_id == SYSTEM]
        parent = draw(st.sampled_from([None, *(one.id for one in whole[-1:])]))
        sets.append(
            backup_set(
                number,
                started_at=START + timedelta(days=day),
                stopped_at=START + timedelta(days=day, hours=1),
                start=position(day * SEGMENT + 40, timeline),
                stop=position(day * SEGMENT + 300, timeline),
                kind=CopyKind.FULL if parent is None else CopyKind.INCREMENTAL,
                parent_id=parent,
                hold=draw(st.sampled_from([None, None, None, "held"])),
                proven_at=draw(st.sampled_from([None, None, START + timedelta(days=day + 1)])),
                lock_until=draw(st.sampled_from([None, None, START + timedelta(days=600)])),
            )
        )
    lost = draw(st.sets(st.integers(0, 399), max_size=3))
    logs = tuple(
        segment(number, timeline=1 if number < fork else 2, received_at=START + timedelta(days=number + 1))
        for number in range(0, 400, 1)
        if number not in lost
    )
    rules = RetentionDocument(
        window=draw(st.sampled_from([None, timedelta(days=10), timedelta(days=100)])),
        daily=draw(st.integers(0, 4)),
        weekly=draw(st.integers(0, 3)),
        monthly=draw(st.integers(0, 3)),
        yearly=draw(st.integers(0, 2)),
        minimum_sets=draw(st.integers(1, 3)),
        largest_share=1.0,
    )
    switch = TimelineSwitch(system_id=SYSTEM, timeline=2, parent=1, at=fork * SEGMENT)
    return Catalog(sets=tuple(sets), logs=logs, switches=(switch,)), rules, START + timedelta(days=draw(st.integers(380, 500)))


def naive(found: Catalog, rules: RetentionDocument, now: datetime) -> set[str]:
    """Each rule by its words, over and over all sets."""
    sets, kept = found.sets, set()
    for one in sets:
        if rules.window is not None:
            begin = now - rules.window
            ended = [other.stopped_at for other in sets if other.stopped_at <= begin]
            if one.stopped_at > begin or (ended and one.stopped_at == max(ended)):
                kept.add(one.id)
        for count, words in (
            (rules.daily, "%Y-%m-%d"),
            (rules.weekly, "%G-%V"),
            (rules.monthly, "%Y-%m"),
            (rules.yearly, "%Y"),
        ):
            name = one.started_at.astimezone(UTC).strftime(words)
            names = sorted({other.started_at.astimezone(UTC).strftime(words) for other in sets}, reverse=True)
            is_first = not any(other.started_at < one.started_at and other.started_at.strftime(words) == name for other in sets)
            if is_first and name in names[:count]:
                kept.add(one.id)
        newer = [other for other in sets if other.parent_id is None and other.started_at > one.started_at]
        if one.parent_id is None and len(newer) < rules.minimum_sets:
            kept.add(one.id)
        if one.hold or (one.lock_until and one.lock_until > now):
            kept.add(one.id)
        if one.proven_at and not any(other.proven_at and other.proven_at > one.proven_at for other in sets):
            kept.add(one.id)
    while missing := {one.parent_id for one in sets if one.id in kept and one.parent_id} - kept:
        kept |= missing
    return kept


@settings(max_examples=150, deadline=None)
@given(catalogs())
def test_what_is_kept_is_what_a_naive_reading_of_the_rules_keeps(made: tuple[Catalog, RetentionDocument, datetime]) -> None:
    found, rules, now = made
    decided = plan(found, rules, now)
    assert {one.set.id for one in decided.sets if one.is_kept} == naive(found, rules, now)
    assert all(one.reasons for one in decided.sets)


@settings(max_examples=150, deadline=None)
@given(catalogs())
def test_deleting_log_takes_no_moment_away_from_a_kept_set_that_promises_it(
    made: tuple[Catalog, RetentionDocument, datetime],
) -> None:
    found, rules, now = made
    decided = plan(found, rules, now)
    left = tuple(one.log for one in decided.logs if one.is_kept)
    kept = [one.set for one in decided.sets if one.is_kept]
    for one in kept:
        whole = coverage(found.logs, found.switches, start=one.start, timeline=one.stop.timeline, until=one.stop.value)
        assert coverage(left, found.switches, start=one.start, timeline=one.stop.timeline, until=one.stop.value) == whole
    if rules.window is None:
        return
    for one in kept:
        if not any(words.startswith("needed to recover every moment") for words in _reasons_of(decided, one)):
            continue
        for timeline in (1, 2):
            try:
                whole = coverage(found.logs, found.switches, start=one.start, timeline=timeline)
            except Conflict:
                continue  # that timeline does not descend from the set
            assert coverage(left, found.switches, start=one.start, timeline=timeline) == whole


@settings(max_examples=50, deadline=None)
@given(catalogs())
def test_log_that_is_kept_is_read_by_some_kept_set(made: tuple[Catalog, RetentionDocument, datetime]) -> None:
    found, rules, now = made
    decided = plan(found, rules, now)
    staying = [one.set for one in decided.sets]  # those that are marked are there during their grace
    oldest = min(one.start.value for one in staying)
    assert all(one.log.file.end > oldest for one in decided.logs if one.is_kept)


def _reasons_of(decided: RetentionPlan, wanted: BackupSet) -> tuple[str, ...]:
    return next(one.reasons for one in decided.sets if one.set.id == wanted.id)


def test_deleted_log_is_not_decided_on_and_contradicting_histories_keep_everything() -> None:
    circle = (
        TimelineSwitch(system_id=SYSTEM, timeline=2, parent=3, at=5),
        TimelineSwitch(system_id=SYSTEM, timeline=3, parent=2, at=5),
    )
    logs = (segment(1, timeline=2), segment(2, state=LogState.DELETED))
    found = plan(catalog(backup_set(50, proven_at=NOW), logs=logs, switches=circle), NO_WINDOW)
    assert [(one.log.file.timeline, one.is_kept) for one in found.logs] == [(2, True)]
    assert "contradict" in found.logs[0].reason


@pytest.mark.parametrize("days", [1, 34, 36], ids=lambda days: f"{days}d")
def test_nothing_goes_while_there_is_no_newer_set_that_could_take_its_place(days: int) -> None:
    only = backup_set(0, started_at=NOW - timedelta(days=days), stopped_at=NOW - timedelta(days=days))
    assert fates(plan(catalog(only), RetentionDocument())) == {only.id: Fate.KEEP}
