"""Sets, log files and what else an index holds, as JSON and back. A vault is read by whoever finds it: nothing is left out."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.model import BackupSet, LogState, SetState, StoredLog, TimelineSwitch
from dbre.capabilities.backup.vault.errors import IndexBroken
from dbre.core.text import quoted
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition

__all__ = ["log_of", "log_value", "moment", "set_of", "set_value", "stored_log", "switch_of", "switch_value", "when"]


def when(at: datetime | None) -> str | None:
    """A moment as RFC 3339."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def moment(text: str | None) -> datetime | None:
    """Back to the moment."""
    return None if text is None else datetime.fromisoformat(text)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _position_value(one: LogPosition | None) -> dict[str, Any] | None:
    return None if one is None else {"timeline": one.timeline, "value": one.value, "text": one.text}


def _position_of(value: dict[str, Any] | None) -> LogPosition | None:
    return None if value is None else LogPosition(int(value["timeline"]), int(value["value"]), str(value["text"]))


_TEXTS = ("id", "cluster", "engine", "policy", "provider", "system_id", "parent_id", "version_text", "tool", "manifest_sha256")


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def _plain(text: str) -> str:
    """Names of sets and log files become names of files: one that leads elsewhere was not written by us."""
    if _PLAIN.fullmatch(text) is None:
        raise IndexBroken(
            f"the index names {quoted(text, limit=100)}, which is no name of ours", hint="see who signs its entries"
        )
    return text


def set_value(one: BackupSet) -> dict[str, Any]:
    """A set, without what depends on where it lies: vaults, state, locks."""
    return {name: getattr(one, name) for name in _TEXTS} | {
        "kind": one.kind.value,
        "start": _position_value(one.start),
        "stop": _position_value(one.stop),
        "started_at": when(one.started_at),
        "stopped_at": when(one.stopped_at),
        "checksums": one.checksums.value,
        "bytes_source": one.bytes_source,
        "details": dict(one.details),
        "operation_id": None if one.operation_id is None else str(one.operation_id),
        "proven_at": when(one.proven_at),
        "hold": one.hold,
    }


def set_of(value: dict[str, Any], *, vault: str, bytes_stored: int, lock_until: datetime | None) -> BackupSet:
    """Back to the set, as it lies complete in a vault. Raises: IndexBroken."""
    for name in ("id", "parent_id", "cluster"):
        if value[name] is not None:
            _plain(value[name])
    return BackupSet(
        **{name: value[name] for name in _TEXTS},
        kind=CopyKind(value["kind"]),
        state=SetState.SEALED,
        start=_position_of(value["start"]),
        stop=_position_of(value["stop"]),
        started_at=_at(value["started_at"]),
        stopped_at=moment(value["stopped_at"]),
        checksums=ChecksumState(value["checksums"]),
        bytes_source=int(value["bytes_source"]),
        bytes_stored=bytes_stored,
        vaults=(vault,),
        proven_at=moment(value["proven_at"]),
        hold=value["hold"],
        lock_until=lock_until,
        details=value["details"],
        operation_id=None if value["operation_id"] is None else UUID(value["operation_id"]),
    )


def log_value(file: LogFile) -> dict[str, Any]:
    """A log file."""
    return {
        "name": file.name,
        "kind": file.kind.value,
        "timeline": file.timeline,
        "start": file.start,
        "end": file.end,
        "size": file.size,
        "sha256": file.sha256,
    }


def log_of(value: dict[str, Any]) -> LogFile:
    """Back to the log file. Raises: IndexBroken."""
    return LogFile(
        name=_plain(str(value["name"])),
        kind=LogKind(value["kind"]),
        timeline=int(value["timeline"]),
        start=int(value["start"]),
        end=int(value["end"]),
        size=int(value["size"]),
        sha256=str(value["sha256"]),
    )


def stored_log(value: dict[str, Any], *, system_id: str, vault: str, is_gone: bool) -> StoredLog:
    """A log file as it lies in a vault."""
    return StoredLog(
        cluster=str(value["cluster"]),
        system_id=system_id,
        file=log_of(value["file"]),
        state=_log_state(value, is_gone=is_gone),
        received_at=_at(value["at"]),
        last_commit_at=moment(value["last_commit_at"]),
        vaults=() if is_gone else (vault,),
    )


def _log_state(value: dict[str, Any], *, is_gone: bool) -> LogState:
    if is_gone:
        return LogState.DELETED
    return LogState.VAULTED if value.get("damage") is None else LogState.LOST


def switch_value(one: TimelineSwitch) -> dict[str, int]:
    """Where a timeline left its parent."""
    return {"timeline": one.timeline, "parent": one.parent, "at": one.at}


def switch_of(value: dict[str, int], system_id: str) -> TimelineSwitch:
    """Back to the switch."""
    return TimelineSwitch(
        system_id=system_id, timeline=int(value["timeline"]), parent=int(value["parent"]), at=int(value["at"])
    )
