"""The log that is really in a pgBackRest repository: from the listing of its files, never from ``info``.

``info`` tells the smallest and the largest segment, and ``check`` and ``verify`` (2.45) call an archive with a hole between
them good. The name of a stored segment ends in the SHA-1 of what the server wrote.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import LogFile
from dbre.tools.moments import moment_of_epoch
from dbre.tools.wal_archive import log_file

__all__ = ["StoredSegment", "parse_listing", "stored_segments"]

_STORED = re.compile(r"(?P<name>[0-9A-F]{24}(?:\.partial)?)-(?P<sha1>[0-9a-f]{40})(?P<suffix>\.(?:gz|lz4|zst|bz2))?")
_HISTORY = re.compile(r"(?P<name>[0-9A-F]{8}\.history)")


class _Entry(msgspec.Struct):
    type: str
    size: int | None = None
    time: int | None = None


_LISTING = msgspec.json.Decoder(dict[str, _Entry])


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """A file of the log as it lies in the repository."""

    path: str  # below the directory that was listed
    name: str
    sha1: str | None  # of the content; None for history files
    suffix: str  # .gz, .lz4, .zst, .bz2, or nothing
    size: int  # as stored
    stored_at: datetime | None

    def log_file(self, segment: int) -> LogFile | None:
        """As the rest of dbre knows it."""
        return log_file(self.name, segment=segment, size=self.size)


def parse_listing(text: bytes) -> Mapping[str, _Entry]:
    """What ``repo-ls --output=json`` says. Raises: ProgramFailed where it is something else."""
    try:
        return _LISTING.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFailed(
            f"pgbackrest repo-ls says something else than JSON of files: {error}",
            hint="pgBackRest 2.32 and later are understood: pgbackrest version",
        ) from error


def stored_segments(listing: Mapping[str, _Entry]) -> Iterator[StoredSegment]:
    """The files of the log among those of a listing, in the order of their names."""
    for path, entry in sorted(listing.items(), key=lambda one: one[0].rpartition("/")[2]):
        base = path.rpartition("/")[2]
        found = _STORED.fullmatch(base) or _HISTORY.fullmatch(base)
        if entry.type != "file" or found is None:
            continue
        parts = found.groupdict()
        yield StoredSegment(
            path=path,
            name=parts["name"],
            sha1=parts.get("sha1"),
            suffix=parts.get("suffix") or "",
            size=entry.size or 0,
            stored_at=moment_of_epoch(entry.time, who="pgbackrest repo-ls") if entry.time is not None else None,
        )
