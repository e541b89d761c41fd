"""Log files that lie in copies and beside them, as ``archive_command = 'cp %p DIRECTORY/%f'`` and ``pg_receivewal`` leave them.

Of which server a file is stands in its first page; nothing else tells.
"""

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.text import printable
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import LogFile, LogKind, Problem
from dbre.ports.backup.repository import ForeignLog, ForeignSwitch
from dbre.tools.wal_archive import SEGMENT_BYTES, first_page, log_file, switches_to

__all__ = ["FoundLog", "conflicts", "find_log", "foreign_logs", "only_one", "switches", "unreadable"]

_HEAD_BYTES = 64
_HISTORY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """A file of the log."""

    path: Path
    file: LogFile
    system_id: str | None  # None: a history file does not say it
    segment_bytes: int | None
    stored_at: datetime


def find_log(directories: Iterable[Path], name: str | None = None) -> tuple[FoundLog, ...]:
    """Every file of the log in those directories, or those of one name. What is unreadable or no log is not there."""
    found = [one for directory in directories if directory.is_dir() for one in _in(directory, name)]
    return tuple(sorted(found, key=lambda one: (one.file.name, str(one.path))))


def foreign_logs(found: Iterable[FoundLog], systems: Iterable[str]) -> Iterator[ForeignLog]:
    """Each file once for each server that it can be of."""
    seen: set[tuple[str, str]] = set()
    for one in found:
        for system_id in [one.system_id] if one.system_id is not None else sorted(set(systems)):
            if (system_id, one.file.name) not in seen:
                seen.add((system_id, one.file.name))
                yield ForeignLog(system_id=system_id, file=one.file, stored_at=one.stored_at)


def switches(found: Iterable[FoundLog], systems: Iterable[str]) -> tuple[ForeignSwitch, ...]:
    """Where timelines left their parents. Raises: ProgramFailed where a history file is none."""
    known = {
        (system_id, switch.timeline): switch
        for one in found
        if one.file.kind is LogKind.HISTORY
        for system_id in sorted(set(systems))
        for switch in switches_to(one.file.timeline, _text(one.path), system_id=system_id)
    }
    return tuple(known[key] for key in sorted(known))


def only_one(found: Iterable[FoundLog], name: str, *, system_id: str | None) -> Path | None:
    """The file of that name; None where there is none. Raises: LogConflict where two of them differ."""
    paths = [one.path for one in found if one.file.name == name and (system_id is None or one.system_id in (None, system_id))]
    if any(not filecmp.cmp(paths[0], other, shallow=False) for other in paths[1:]):
        raise LogConflict(
            f"{printable(str(paths[0]), limit=300)} and {printable(str(paths[1]), limit=300)} differ",
            hint="two servers archived, or one of them is damaged: see which one is right before anything is recovered",
        )
    return paths[0] if paths else None


def conflicts(found: Iterable[FoundLog]) -> Iterator[Problem]:
    """Files of one name and one server that differ."""
    known = list(found)
    for system_id, name in sorted({(one.system_id or "", one.file.name) for one in known}):
        try:
            only_one((one for one in known if (one.system_id or "") == system_id), name, system_id=None)
        except LogConflict as error:
            yield Problem(rule="backup.log_conflict", message=error.message, hint=error.hint or "", is_blocking=True)


def unreadable(directories: Iterable[Path]) -> Iterator[Problem]:
    """Directories that may hold log, and that are not ours to read: what is missing may lie there."""
    for one in directories:
        if one.is_dir() and not os.access(one, os.R_OK | os.X_OK):
            yield Problem(
                rule="backup.unreadable",
                message=f"{printable(str(one), limit=300)} cannot be read: log in it is not counted",
                hint="run as its owner (sudo -u OWNER dbre ...); lost+found holds none",
                is_blocking=False,
            )


def _in(directory: Path, name: str | None) -> Iterator[FoundLog]:
    try:
        paths = list(directory.iterdir()) if name is None else [directory / name]
    except OSError:  # told by ``unreadable``
        return
    for path in paths:
        if log_file(path.name, segment=SEGMENT_BYTES) is None and log_file(path.name, segment=2**20) is None:
            continue
        try:
            status, head = path.lstat(), _head(path, _HEAD_BYTES)
        except OSError:  # a link, a pipe, not ours to read: recovery could not read it either
            continue
        page = first_page(head)
        file = log_file(path.name, segment=page.segment_bytes if page is not None else SEGMENT_BYTES, size=status.st_size)
        if file is None or (file.kind is not LogKind.HISTORY and (page is None or file.start != page.position)):
            continue  # servers use old segments again under new names: what lies in those is of another place
        if file.kind is LogKind.SEGMENT and page is not None and status.st_size != page.segment_bytes:
            continue  # cut off: a hole begins here
        is_segment = file.kind is not LogKind.HISTORY and page is not None
        yield FoundLog(
            path=path,
            file=file,
            system_id=page.system_id if is_segment and page is not None else None,
            segment_bytes=page.segment_bytes if is_segment and page is not None else None,
            stored_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )


def _head(path: Path, count: int) -> bytes:
    """The first bytes of a regular file; a link, a device or a pipe is an OSError and is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        return file.read(count)


def _text(path: Path) -> str:
    try:
        return _head(path, _HISTORY_BYTES).decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
