"""The state file of a fault: who holds it and how it is undone, on disk before anything is done."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from dbre.capabilities.chaos.injection.model import Phase
from dbre.core.errors import DbreError
from dbre.core.text import printable
from dbre.lab.processes import Process

__all__ = [
    "Record",
    "RecordUnreadable",
    "boot_id",
    "new_fault_id",
    "read_record",
    "read_records",
    "readable_records",
    "sweeping",
]

_SUFFIX = ".fault.json"


class RecordUnreadable(DbreError):
    """A state file cannot be read: what it stands for has to be looked at by hand."""

    code = "chaos.record_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One fault as its state file has it. It holds no secret."""

    id: str
    operation: str  # which experiment it belongs to; empty: none
    fault: str
    cluster: str
    instance: str
    parameters: Mapping[str, Any]
    inverse: Mapping[str, Any]
    phase: Phase
    pid: int  # of the injector
    start_ticks: int
    boot: str  # pids of an earlier boot say nothing
    until: str  # ISO moment, UTC, at which it has to be gone
    detail: str = ""
    why: str = ""  # why it was ended

    def path(self, directory: Path) -> Path:
        """Where it is kept."""
        return directory / f"{self.id}{_SUFFIX}"

    def write(self, directory: Path) -> None:
        """Put it on disk whole, and wait until it is there."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = directory / f"{self.id}.{secrets.token_hex(4)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path(directory))
        _flush(directory)

    def remove(self, directory: Path) -> None:
        """Take it away: nothing is left to undo."""
        self.path(directory).unlink(missing_ok=True)
        (directory / f"{self.id}.log").unlink(missing_ok=True)

    def at(self, phase: Phase, **changes: Any) -> Self:
        """The same, further on."""
        return replace(self, phase=phase, **changes)

    @property
    def ends_at(self) -> datetime:
        """When it has to be gone."""
        return datetime.fromisoformat(self.until)

    def holder(self) -> Process | None:
        """The injector, if it lives."""
        process = Process.read(self.pid) if self.boot == boot_id() else None
        return process if process is not None and process.start_ticks == self.start_ticks and process.is_alive else None


def new_fault_id() -> str:
    """A tag that no other fault has, short enough for the name of a session."""
    return secrets.token_hex(6)


def boot_id() -> str:
    """Which run of this machine it is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_records(directory: Path) -> list[Record]:
    """All state files, in the order of their names. Raises: RecordUnreadable."""
    found, unreadable = readable_records(directory)
    if unreadable:
        raise unreadable[0]
    return found


def readable_records(directory: Path) -> tuple[list[Record], list[RecordUnreadable]]:
    """All state files that can be read, in the order of their names, and what is wrong with the others."""
    found: list[Record] = []
    unreadable: list[RecordUnreadable] = []
    for path in sorted(directory.glob(f"*{_SUFFIX}")) if directory.is_dir() else ():
        try:
            found.append(read_record(path))
        except FileNotFoundError:
            continue  # its operation has just forgotten it
        except RecordUnreadable as error:
            unreadable.append(error)
    return found, unreadable


def read_record(path: Path) -> Record:
    """One state file. Raises: RecordUnreadable; FileNotFoundError."""
    try:
        given = json.loads(path.read_text())
        return Record(**{**given, "phase": Phase(given["phase"])})
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordUnreadable(
            f"{printable(str(path))} is no state file of a fault: {printable(str(error), limit=200)}",
            hint="look at the file, undo by hand what it names, and delete it",
        ) from error


@contextmanager
def sweeping(directory: Path) -> Iterator[bool]:
    """Hold the right to heal in a directory; False where another process does."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "heal.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
