"""What Barman's JSON says of a server and its backups, read strictly.

Source: Barman 3.4, ``barman/output.py``: JsonOutputWriter.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind
from dbre.ports.backup.repository import ForeignSet
from dbre.tools.moments import moment_of_epoch
from dbre.tools.wal_archive import position

__all__ = ["ListedBackup", "Places", "Shown", "ends", "foreign_set", "listed", "places", "shown"]

_COPIED = ("DONE", "WAITING_FOR_WALS")
_Type = TypeVar("_Type")


class Places(msgspec.Struct):
    """Where a server's files lie; the rest of its configuration, connection strings too, is not even read."""

    backup_directory: Path
    wals_directory: Path
    incoming_wals_directory: Path
    streaming_wals_directory: Path


class ListedBackup(msgspec.Struct):
    """One line of ``list-backups``."""

    backup_id: str
    status: str
    retention_status: str = "-"


class _Space(msgspec.Struct):
    name: str
    location: str


class _Base(msgspec.Struct):
    begin_lsn: str
    end_lsn: str
    begin_wal: str
    end_wal: str
    timeline: int
    begin_time_timestamp: str
    end_time_timestamp: str
    disk_usage_bytes: int | None = None
    incremental_size_bytes: int | None = None


class Shown(msgspec.Struct):
    """What ``show-backup`` says."""

    backup_id: str
    status: str
    error: str | None = None
    postgresql_version: int | None = None
    tablespaces: list[_Space] = []
    base_backup_information: _Base | None = None
    system_id: str | None = None
    systemid: str | None = None
    root_backup_id: str | None = None
    parent_backup_id: str | None = None


def _plain(shape: type, value: Any) -> Any:
    return shape(value)


def _read(data: Mapping[str, Any], server: str, shape: type[_Type], command: str) -> _Type:
    try:
        return msgspec.convert(data[server], shape, dec_hook=_plain)
    except (KeyError, msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFailed(
            f"barman {command} {server} says something else than was expected: {error}",
            hint="Barman 3.0 and later are understood: barman --version",
        ) from error


def places(data: Mapping[str, Any], server: str) -> Places:
    """From ``show-servers``. Raises: ProgramFailed."""
    return _read(data, server, Places, "show-servers")


def listed(data: Mapping[str, Any], server: str) -> list[ListedBackup]:
    """From ``list-backups``. Raises: ProgramFailed."""
    return _read(data, server, list[ListedBackup], "list-backups")


def shown(data: Mapping[str, Any], server: str) -> Shown:
    """From ``show-backup``. Raises: ProgramFailed."""
    return _read(data, server, Shown, "show-backup")


def foreign_set(backup: Shown, *, system_id: str) -> ForeignSet | None:
    """The set as the rest of dbre knows it; None where it was never copied to its end."""
    base = backup.base_backup_information
    if base is None:
        return None
    try:
        start, stop = position(base.timeline, base.begin_lsn), position(base.timeline, base.end_lsn)
        began, ended = _moment(base.begin_time_timestamp), _moment(base.end_time_timestamp)
    except ValueError as error:
        raise ProgramFailed(f"barman show-backup tells of backup {backup.backup_id} what cannot be: {error}") from error
    parent = backup.parent_backup_id
    return ForeignSet(
        label=backup.backup_id,
        kind=CopyKind.INCREMENTAL if parent else CopyKind.FULL,
        parent=parent,
        system_id=backup.systemid or backup.system_id or system_id,
        start=start,
        stop=stop,
        started_at=began,
        stopped_at=ended,
        bytes_source=base.disk_usage_bytes,
        bytes_stored=base.incremental_size_bytes or base.disk_usage_bytes,
        error=None if backup.status in _COPIED else f"status {backup.status}: {backup.error or 'no reason is told'}",
        version_text=_version(backup.postgresql_version),
    )


def ends(backup: Shown) -> list[tuple[str, str]]:
    """Names of segments, each with a position in it."""
    base = backup.base_backup_information
    return [] if base is None else [(base.begin_wal, base.begin_lsn), (base.end_wal, base.end_lsn)]


def _moment(timestamp: str) -> datetime:
    return moment_of_epoch(int(timestamp), who="barman show-backup")


def _version(number: int | None) -> str | None:
    return None if number is None else f"{number // 10_000}.{number % 10_000}"
