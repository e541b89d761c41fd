"""What the guard decides about log that a server keeps."""

from dataclasses import replace

import pytest
from log_kit import at

from dbre.capabilities.backup.log.guard import GuardAct, judge
from dbre.ports.backup.log_source import BacklogState, LogBacklog

GIB = 2**30
QUIET = LogBacklog(
    state=BacklogState.KEPT,
    position=at(1, 100 * GIB),
    kept_from=at(1, 99 * GIB),
    kept_bytes=GIB,
    safe_bytes=None,
    is_active=True,
    active_by="dbre_orders from 10.0.0.9",
    flushed=at(1, 100 * GIB),
)


@pytest.mark.parametrize(
    ("changes", "when_blocked", "act"),
    [
        ({}, "keep", GuardAct.NOTHING),
        ({"kept_bytes": 9 * GIB}, "drop", GuardAct.WARN),
        ({"kept_bytes": 16 * GIB}, "keep", GuardAct.WARN),
        ({"kept_bytes": 16 * GIB, "is_active": False}, "drop", GuardAct.DROP),
        ({"state": BacklogState.AT_RISK}, "keep", GuardAct.WARN),
        ({"state": BacklogState.LOST, "kept_bytes": None}, "keep", GuardAct.GAP),
        ({"state": BacklogState.ABSENT, "kept_bytes": None}, "drop", GuardAct.NOTHING),
        ({"is_active": False, "safe_bytes": GIB}, "keep", GuardAct.WARN),
        ({"is_active": True, "safe_bytes": GIB}, "keep", GuardAct.NOTHING),
    ],
    ids=["quiet", "half", "full-keep", "full-drop", "at-risk", "lost", "no-slot", "alone-and-soon-full", "received-and-small"],
)
def test_a_backlog_is_judged(changes: dict[str, object], when_blocked: str, act: GuardAct) -> None:
    backlog = replace(QUIET, **changes)
    found = judge(backlog, largest_bytes=16 * GIB, when_blocked=when_blocked, bytes_per_second=10 * 2**20)
    assert found.act is act


def test_the_time_until_it_is_full_follows_from_the_smaller_room() -> None:
    found = judge(replace(QUIET, safe_bytes=600 * 2**20), largest_bytes=16 * GIB, when_blocked="keep", bytes_per_second=2**20)
    assert found.seconds_to_full == pytest.approx(600)
    found = judge(QUIET, largest_bytes=2 * GIB, when_blocked="keep", bytes_per_second=2**20)
    assert found.seconds_to_full == pytest.approx(1024)


def test_a_log_that_does_not_grow_is_never_full() -> None:
    assert judge(QUIET, largest_bytes=16 * GIB, when_blocked="keep", bytes_per_second=0.0).seconds_to_full is None
    assert judge(QUIET, largest_bytes=16 * GIB, when_blocked="keep", bytes_per_second=None).seconds_to_full is None


@pytest.mark.parametrize(
    ("before", "act"),
    [(None, GuardAct.WARN), (18 * GIB, GuardAct.WARN), (17 * GIB, GuardAct.DROP), (16 * GIB, GuardAct.DROP)],
    ids=["first-look", "shrinks", "stays", "grows"],
)
def test_a_receiver_that_catches_up_is_left_to_it(before: int | None, act: GuardAct) -> None:
    backlog = replace(QUIET, kept_bytes=17 * GIB)
    found = judge(backlog, largest_bytes=16 * GIB, when_blocked="drop", bytes_per_second=2**20, kept_before=before)
    assert found.act is act
