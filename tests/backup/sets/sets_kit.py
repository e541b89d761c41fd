"""What tests of sets, policies and retention are made of."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.model import BackupSet, LogState, SetState, StoredLog
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition

__all__ = ["CLUSTER", "SEGMENT", "START", "SYSTEM", "backup_set", "history", "position", "segment", "set_id"]

START = datetime(2026, 11, 21, 2, tzinfo=UTC)
CLUSTER, SYSTEM, SEGMENT = "orders", "7412345678901234567", 2**24


def set_id(number: int) -> str:
    """Ids that sort by number."""
    return str(UUID(int=(number << 80) | 7 << 76 | 2 << 62 | number))


def position(value: int, timeline: int = 1) -> LogPosition:
    """A position as PostgreSQL writes it."""
    return LogPosition(timeline=timeline, value=value, text=f"{value >> 32:X}/{value & 0xFFFFFFFF:X}")


def backup_set(number: int = 1, **changes: Any) -> BackupSet:
    """A sealed full set, a day after the one before it."""
    at = START + timedelta(days=number)
    values: dict[str, Any] = {
        "id": set_id(number),
        "cluster": CLUSTER,
        "engine": "postgres",
        "policy": "daily",
        "provider": "native",
        "system_id": SYSTEM,
        "kind": CopyKind.FULL,
        "parent_id": None,
        "state": SetState.SEALED,
        "start": position(number * 10 * SEGMENT + 40),
        "stop": position(number * 10 * SEGMENT + 296),
        "started_at": at,
        "stopped_at": at + timedelta(minutes=5),
        "version_text": "18.4",
        "tool": "pg_basebackup (PostgreSQL) 18.4",
        "checksums": ChecksumState.GOOD,
        "bytes_source": 10_000_000,
        "bytes_stored": 3_000_000,
        "manifest_sha256": "ab" * 32,
        "vaults": ("near",),
    }
    return BackupSet(**(values | changes))


def segment(number: int, *, timeline: int = 1, state: LogState = LogState.VAULTED, **changes: Any) -> StoredLog:
    """The log file of that number."""
    file = LogFile(
        name=f"{timeline:08X}{number >> 8:08X}{number & 0xFF:08X}",
        kind=LogKind.SEGMENT,
        timeline=timeline,
        start=number * SEGMENT,
        end=(number + 1) * SEGMENT,
        size=SEGMENT,
        sha256=f"{number:064x}",
    )
    values: dict[str, Any] = {
        "cluster": CLUSTER,
        "system_id": SYSTEM,
        "file": file,
        "state": state,
        "received_at": START + timedelta(minutes=number),
        "vaults": ("near",) if state in {LogState.VAULTED, LogState.VERIFIED} else (),
    }
    return StoredLog(**(values | changes))


def history(timeline: int) -> StoredLog:
    """The history file of a timeline."""
    name = f"{timeline:08X}.history"
    file = LogFile(name=name, kind=LogKind.HISTORY, timeline=timeline, start=0, end=0, size=60, sha256="cd" * 32)
    return StoredLog(cluster=CLUSTER, system_id=SYSTEM, file=file, state=LogState.VAULTED, received_at=START, vaults=("near",))
