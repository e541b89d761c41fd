"""Reading the log when it is opened: what was acknowledged, once, in order; and what was damaged meanwhile."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dbre.capabilities.slo.ingest.wal.disk import QUARANTINE, Segment, read_segment, segments
from dbre.capabilities.slo.ingest.wal.frames import Frame

__all__ = ["Recovery"]


@dataclass(slots=True)
class Recovery:
    """Goes through the segments of a directory; ``segments`` may be called once.

    A segment ends where the next one begins: of a write that failed it may hold records which nobody was told are durable,
    and whose numbers were given out again. Damage before that end is kept: the file stays in ``quarantine``.
    """

    directory: Path
    epoch: bytes | None = None
    last: int = 0  # number of the newest record
    damaged_files: list[str] = field(default_factory=list)
    damaged_bytes: int = 0

    def segments(self) -> Iterator[list[Frame]]:
        """The records of each segment, in the order of their numbers. Raises: OSError."""
        paths = segments(self.directory)
        for index, path in enumerate(paths):
            end = int(paths[index + 1].stem) if index + 1 < len(paths) else None
            found = read_segment(path)
            self._note(found, end)
            chosen = [one for one in found.frames if end is None or one.number < end]
            self.last = max([self.last, *(one.number for one in chosen)])
            yield chosen

    def _note(self, found: Segment, end: int | None) -> None:
        if found.header is not None:
            self.epoch = found.header.epoch
        newest = found.frames[-1].number if found.frames else int(found.path.stem) - 1
        is_cut_short = end is not None and found.torn_bytes > 0 and newest < end - 1
        damaged = found.damaged_bytes + (found.torn_bytes if is_cut_short else 0)
        if found.header is None and found.frames:
            damaged = max(damaged, 1)
        if damaged:
            self._quarantine(found.path)
            self.damaged_bytes += damaged

    def _quarantine(self, path: Path) -> None:
        self.damaged_files.append(path.name)
        kept = self.directory / QUARANTINE
        kept.mkdir(mode=0o700, exist_ok=True)
        if not (kept / path.name).exists():
            os.link(path, kept / path.name)
