"""Files of the log, and nothing but files: every function blocks, and lets ``OSError`` through."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.slo.ingest.wal.errors import LogTaken
from dbre.capabilities.slo.ingest.wal.frames import Damage, Frame, Header, header, read_frames, read_header

__all__ = ["QUARANTINE", "Segment", "SegmentFile", "free_bytes", "lock", "read_segment", "segments", "sync_directory"]

QUARANTINE = "quarantine"
_SUFFIX = ".wal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment as it was read. ``damaged_bytes`` do not count a torn tail, which begins at ``end``."""

    path: Path
    header: Header | None
    frames: list[Frame]
    end: int
    damaged_bytes: int
    torn_bytes: int


class SegmentFile:
    """The segment that is being written."""

    def __init__(self, directory: Path, *, epoch: bytes, first: int) -> None:
        self.path = directory / f"{first:020d}{_SUFFIX}"
        self.first = first
        self.size = 0
        # A segment of that number holds nothing that was acknowledged: its records would have raised the number.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        try:
            self.write(header(epoch, first))
            sync_directory(directory)
        except OSError:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Append, and return when it is on the disk."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        os.fdatasync(self._file)
        self.size += len(data)

    def close(self) -> None:
        """Close the file; what was written stays."""
        os.close(self._file)


def lock(directory: Path) -> int:
    """Take a directory for this process; closing the descriptor lets go. Raises: LogTaken, OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LogTaken(
            f"another process writes the ingest log in {directory}",
            hint="run one control plane on a directory, or set ingest.directory",
        ) from None
    return descriptor


def segments(directory: Path) -> list[Path]:
    """The segments, the oldest first."""
    return sorted(path for path in directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def read_segment(path: Path) -> Segment:
    """Read a whole segment and check each record."""
    data = path.read_bytes()
    found = read_header(data)
    frames, damage = list[Frame](), list[Damage]()
    for one in read_frames(data) if found else read_frames(data, 0):
        if isinstance(one, Frame):
            frames.append(one)
        else:
            damage.append(one)
    torn = damage.pop() if damage and damage[-1].end == len(data) else None
    return Segment(
        path=path,
        header=found,
        frames=frames,
        end=torn.start if torn else len(data),
        damaged_bytes=sum(one.end - one.start for one in damage),
        torn_bytes=torn.end - torn.start if torn else 0,
    )


def sync_directory(directory: Path) -> None:
    """Make new and deleted names durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(directory: Path) -> int:
    """What an unprivileged user may still write."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
