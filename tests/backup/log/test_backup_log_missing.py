"""Holes in the log are open until a full copy makes up for them, on the way that leads over them."""

from datetime import UTC, datetime, timedelta

import pytest

from dbre.capabilities.backup.log.missing import find_missing
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog, TimelineSwitch
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SWITCH = TimelineSwitch(system_id="7", timeline=2, parent=1, at=5)


def position(value: int, timeline: int) -> LogPosition:
    return LogPosition(timeline, value, f"0/{value:X}")


def full(start: int, timeline: int = 1) -> BackupSet:
    return BackupSet(
        id=f"set-{timeline}-{start}",
        cluster="orders",
        engine="postgresql",
        policy="all",
        provider="native",
        system_id="7",
        kind=CopyKind.FULL,
        parent_id=None,
        state=SetState.SEALED,
        start=position(start, timeline),
        stop=position(start, timeline),
        started_at=NOON + timedelta(minutes=start),
        stopped_at=NOON + timedelta(minutes=start),
        version_text="18.4",
        tool="pg_basebackup 18.4",
        checksums=ChecksumState.GOOD,
        bytes_source=1,
        bytes_stored=1,
        manifest_sha256=None,
        vaults=("near",),
    )


def log(number: int, timeline: int) -> StoredLog:
    file = LogFile(
        name=f"{timeline}-{number}",
        kind=LogKind.SEGMENT,
        timeline=timeline,
        start=number,
        end=number + 1,
        size=1,
        sha256="",
    )
    return StoredLog(cluster="orders", system_id="7", file=file, state=LogState.VAULTED, received_at=NOON, vaults=("near",))


LOGS = (*(log(one, 1) for one in range(1, 20)), *(log(one, 2) for one in range(5, 20) if one != 8))
"""At 5 another server was promoted; its file 8 was never received, and the old primary went on."""


@pytest.mark.parametrize(
    ("later", "is_open"),
    [(None, True), (full(15, timeline=1), True), (full(8, timeline=2), True), (full(9, timeline=2), False)],
    ids=["no-other", "of-the-old-primary", "from-within", "behind-it"],
)
def test_only_a_full_copy_behind_a_hole_and_on_its_way_makes_up_for_it(later: BackupSet | None, is_open: bool) -> None:
    found = Catalog(sets=(full(1), *([later] if later else [])), logs=LOGS, switches=(SWITCH,))
    assert [(one.timeline, one.start.value, one.end.value) for one in find_missing(found)] == [(2, 8, 9)]
    assert bool(find_missing(found, only_open=True)) is is_open


def test_a_full_copy_of_a_later_timeline_makes_up_for_a_hole_of_its_parent() -> None:
    logs = [one for one in LOGS if (one.file.timeline, one.file.start) != (1, 3)]
    found = Catalog(sets=(full(1), full(9, timeline=2)), logs=tuple(logs), switches=(SWITCH,))
    assert {(one.timeline, one.start.value) for one in find_missing(found)} == {(1, 3), (2, 8)}
    assert find_missing(found, only_open=True) == ()
