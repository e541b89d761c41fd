"""Log files and sets made of numbers, for tests of arithmetic."""

from datetime import UTC, datetime, timedelta

from dbre.capabilities.backup.model import BackupSet, LogState, SetState, StoredLog, TimelineSwitch
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition

SYSTEM = "7461000000000000001"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(timeline: int, value: int) -> LogPosition:
    return LogPosition(timeline, value, f"{value >> 32:X}/{value & 0xFFFFFFFF:X}")


def log(
    timeline: int,
    start: int,
    end: int,
    *,
    state: LogState = LogState.VAULTED,
    kind: LogKind = LogKind.SEGMENT,
    system_id: str = SYSTEM,
) -> StoredLog:
    name = f"{timeline:08X}{start:016X}"
    file = LogFile(name=name, kind=kind, timeline=timeline, start=start, end=end, size=end - start, sha256="0" * 64)
    return StoredLog(cluster="orders", system_id=system_id, file=file, state=state, received_at=NOON)


def switch(timeline: int, parent: int, value: int, *, system_id: str = SYSTEM) -> TimelineSwitch:
    return TimelineSwitch(system_id=system_id, timeline=timeline, parent=parent, at=value)


def full_set(
    name: str,
    start: LogPosition | None,
    stop: LogPosition | None,
    *,
    minutes: float = 0.0,
    state: SetState = SetState.SEALED,
    parent: str | None = None,
    system_id: str = SYSTEM,
) -> BackupSet:
    began = NOON + timedelta(minutes=minutes)
    return BackupSet(
        id=name,
        cluster="orders",
        engine="postgresql",
        policy="all",
        provider="native",
        system_id=system_id,
        kind=CopyKind.FULL if parent is None else CopyKind.INCREMENTAL,
        parent_id=parent,
        state=state,
        start=start,
        stop=stop,
        started_at=began,
        stopped_at=began + timedelta(seconds=10),
        version_text="18.4",
        tool="pg_basebackup 18.4",
        checksums=ChecksumState.GOOD,
        bytes_source=1000,
        bytes_stored=100,
        manifest_sha256="0" * 64,
    )
