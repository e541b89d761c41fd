"""The log that really lies in Barman's directories; its own index (``xlog.db``) lists files that are long gone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import Denied, Unsupported
from dbre.core.programs.errors import ProgramFailed
from dbre.tools.barman.catalogue import Places
from dbre.tools.wal_archive import SEGMENT_BYTES, log_file

__all__ = ["WalFile", "find_wal", "wal_files"]

_LONGEST_HISTORY = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class WalFile:
    """One file of the log where Barman can get it."""

    name: str
    size: int  # as stored
    stored_at: datetime
    path: Path

    def read(self) -> str:
        """Its text: for history files, which are short. Raises: ProgramFailed."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as file:
                return file.read(_LONGEST_HISTORY)
        except OSError as error:
            raise ProgramFailed(f"{self.path} cannot be read: {error.strerror}") from error


def wal_files(where: Places) -> tuple[WalFile, ...]:
    """Every file of the log, by name. Complete files that wait to be archived count: ``barman get-wal`` finds them too.

    Raises: Denied, Unsupported where the directories are not on this machine.
    """
    found: dict[str, WalFile] = {}
    for directory in (where.streaming_wals_directory, where.incoming_wals_directory, where.wals_directory):
        for one in _walk(directory, depth=1 if directory == where.wals_directory else 0):
            found[one.name] = one
    return tuple(found[name] for name in sorted(found))


def find_wal(where: Places, name: str) -> WalFile | None:
    """One file; None only where every directory was read and none has it."""
    return next((one for one in wal_files(where) if one.name == name), None)


def _walk(directory: Path, *, depth: int) -> Iterator[WalFile]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if depth > 0:
                        yield from _walk(Path(entry.path), depth=depth - 1)
                elif entry.is_file(follow_symlinks=False) and log_file(entry.name, segment=SEGMENT_BYTES) is not None:
                    status = entry.stat(follow_symlinks=False)
                    moment = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield WalFile(name=entry.name, size=status.st_size, stored_at=moment, path=Path(entry.path))
    except FileNotFoundError as error:
        raise Unsupported(
            f"{directory} is not on this machine: the log of Barman cannot be listed",
            hint="run dbre on the machine of the Barman server",
        ) from error
    except PermissionError as error:
        raise Denied(
            f"{directory} cannot be read", hint="run dbre as the account of Barman: sudo -u barman dbre ..."
        ) from error
    except OSError as error:
        raise ProgramFailed(f"{directory} cannot be read: {error.strerror}") from error
