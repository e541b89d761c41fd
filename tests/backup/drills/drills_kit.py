"""What tests of drills are made of: chains of canaries, results, drills, sets."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.model import BackupSet, Drill, DrillVerdict, SetState, WitnessedCanary
from dbre.ports.backup.model import ChecksumState, CopyKind, LogPosition
from dbre.ports.canary import CanaryRow

__all__ = [
    "CLUSTER", "NOON", "SYSTEM", "at", "backup_set", "chain", "drill", "position", "witnesses_of",
]  # fmt: skip

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLUSTER, SYSTEM = "orders", "7461000000000000001"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def position(value: int, timeline: int = 1) -> LogPosition:
    return LogPosition(timeline=timeline, value=value, text=f"{value >> 32:X}/{value & 0xFFFFFFFF:X}")


def chain(count: int, *, first: int = 1, every: float = 10.0, salt: str = "") -> list[CanaryRow]:
    """Rows of a sound chain, row n written n * every seconds after noon."""
    rows: list[CanaryRow] = []
    previous = "0" * 64 if first == 1 else hashlib.sha256(f"{first}{salt}".encode()).hexdigest()
    for sequence in range(first, first + count):
        nonce = hashlib.sha256(f"{sequence}|{salt}".encode()).hexdigest()[:16]
        bare = CanaryRow(sequence=sequence, at=at(sequence * every), nonce=nonce, previous=previous, hash="")
        previous = hashlib.sha256(bare.text()).hexdigest()
        rows.append(CanaryRow(sequence=sequence, at=bare.at, nonce=nonce, previous=bare.previous, hash=previous))
    return rows


def witnesses_of(rows: list[CanaryRow], *, bytes_each: int = 1000) -> list[WitnessedCanary]:
    """Each row as it was acknowledged; row n when the log ended at n * bytes_each."""
    return [
        WitnessedCanary(
            cluster=CLUSTER, sequence=one.sequence, at=one.at, hash=one.hash, position=position(one.sequence * bytes_each)
        )
        for one in rows
    ]


def backup_set(number: int = 1, **changes: Any) -> BackupSet:
    """A sealed full set."""
    began = NOON + timedelta(days=number)
    values: dict[str, Any] = {
        "id": str(UUID(int=(number << 80) | 7 << 76 | 2 << 62 | number)),
        "cluster": CLUSTER,
        "engine": "postgresql",
        "policy": "all",
        "provider": "native",
        "system_id": SYSTEM,
        "kind": CopyKind.FULL,
        "parent_id": None,
        "state": SetState.SEALED,
        "start": position(1000),
        "stop": position(2000),
        "started_at": began,
        "stopped_at": began + timedelta(minutes=5),
        "version_text": "18.4",
        "tool": "pg_basebackup 18.4",
        "checksums": ChecksumState.GOOD,
        "bytes_source": 1000,
        "bytes_stored": 100,
        "manifest_sha256": None,
        "vaults": ("near",),
    }
    return BackupSet(**(values | changes))


def drill(number: int = 1, **changes: Any) -> Drill:
    """A passed, faithful drill that ended n hours after noon."""
    ended = NOON + timedelta(hours=number)
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "cluster": CLUSTER,
        "set_id": backup_set().id,
        "system_id": SYSTEM,
        "target_kind": "time",
        "target_value": NOON.isoformat(),
        "mode": "faithful",
        "started_at": ended - timedelta(minutes=1),
        "ended_at": ended,
        "phases": (),
        "reached": position(2500),
        "reached_commit_at": NOON,
        "results": (),
        "recovery_point_seconds": 3.0,
        "recovery_time_seconds": 40.0,
        "verdict": DrillVerdict.PASS,
        "reason": "came to its target",
        "level": "L5",
        "operation_id": UUID(int=number),
    }
    return Drill(**(values | changes))
