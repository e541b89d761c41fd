"""Catalogs for tests of planning: sets, log files, timelines and clock samples in a few words."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog, TimelineSwitch
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition

SYSTEM = "7461000000000000001"
SEGMENT = 16 * 2**20
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""Position 0 of every test's clock: one segment a minute."""


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def position(value: int, timeline: int = 1) -> LogPosition:
    return LogPosition(timeline, value, f"{value >> 32:X}/{value & 0xFFFFFFFF:X}")


def backup_set(
    set_id: str,
    start: float,
    stop: float,
    *,
    parent: str | None = None,
    timeline: int = 1,
    state: SetState = SetState.SEALED,
    system_id: str = SYSTEM,
    vaults: tuple[str, ...] = ("near", "far"),
    details: Mapping[str, Any] | None = None,
    has_log: bool = True,
) -> BackupSet:
    """A set that ran from one minute to another; its positions are those of the clock."""
    return BackupSet(
        id=set_id,
        cluster="orders",
        engine="postgresql",
        policy="all",
        provider="native",
        system_id=system_id,
        kind=CopyKind.INCREMENTAL if parent else CopyKind.FULL,
        parent_id=parent,
        state=state,
        start=position(round(start * SEGMENT), timeline) if has_log else None,
        stop=position(round(stop * SEGMENT), timeline) if has_log else None,
        started_at=at(start),
        stopped_at=at(stop),
        version_text="18.4",
        tool="pg_basebackup 18.4",
        checksums=ChecksumState.GOOD,
        bytes_source=100 * 2**20,
        bytes_stored=20 * 2**20,
        manifest_sha256=None,
        vaults=vaults,
        details=details or {},
    )


def segment(number: int, *, timeline: int = 1, last_commit: float | None = None, system_id: str = SYSTEM) -> StoredLog:
    file = LogFile(
        name=f"{timeline:08X}{0:08X}{number:08X}",
        kind=LogKind.SEGMENT,
        timeline=timeline,
        start=number * SEGMENT,
        end=(number + 1) * SEGMENT,
        size=SEGMENT,
        sha256=f"{number:064x}",
    )
    return StoredLog(
        cluster="orders",
        system_id=system_id,
        file=file,
        state=LogState.VAULTED,
        received_at=at(number + 1),
        last_commit_at=at(last_commit) if last_commit is not None else None,
        vaults=("near", "far"),
    )


def segments(numbers: Iterable[int], *, timeline: int = 1) -> tuple[StoredLog, ...]:
    return tuple(segment(number, timeline=timeline) for number in numbers)


def samples(minutes: Iterable[float], *, timeline: int = 1, system_id: str = SYSTEM) -> list[ClockSample]:
    """Samples of a server that writes a segment a minute."""
    return [
        ClockSample(cluster="orders", system_id=system_id, at=at(minute), timeline=timeline, value=round(minute * SEGMENT))
        for minute in minutes
    ]


def switch(timeline: int, parent: int, minute: float) -> TimelineSwitch:
    return TimelineSwitch(system_id=SYSTEM, timeline=timeline, parent=parent, at=round(minute * SEGMENT))


def catalog(*sets: BackupSet, logs: Iterable[StoredLog] = (), switches: Iterable[TimelineSwitch] = ()) -> Catalog:
    return Catalog(sets=tuple(sorted(sets, key=lambda one: one.started_at)), logs=tuple(logs), switches=tuple(switches))


def ids(plan: RestorePlan) -> list[str]:
    return [one.id for one in plan.chain]


def rules(plan: RestorePlan) -> list[str]:
    return [one.rule for one in plan.problems]


def names(plan: RestorePlan) -> list[int]:
    """Numbers of the segments that a plan replays."""
    return [int(one.file.name[16:], 16) for one in plan.logs if one.file.kind is LogKind.SEGMENT]
