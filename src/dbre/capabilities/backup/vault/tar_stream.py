"""A directory as one tar stream that is the same each time and can be read from any byte on: parts are made anew alone."""

import os
import stat
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.vault.errors import SetUnstorable
from dbre.core.text import quoted

__all__ = ["TarPlan", "TarReader", "plan_tar", "stays_inside"]

_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK
_MODE = 0o7777


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: bytes
    mode: int
    size: int
    changed_ns: int
    link: str
    start: int  # where its header begins in the stream
    head: int  # bytes of its header

    @property
    def padded(self) -> int:
        return -(-self.size // _BLOCK) * _BLOCK

    @property
    def end(self) -> int:
        return self.start + self.head + self.padded

    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)
        info.type, info.mode, info.size, info.linkname = self.kind, self.mode, self.size, self.link
        info.mtime = self.changed_ns // 1_000_000_000
        return info.tobuf(format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class TarPlan:
    """What the stream of a directory will hold. ``files`` and ``bytes`` are of plain files; ``size`` is the stream's."""

    directory: Path
    members: tuple[_Member, ...]
    files: int
    bytes: int
    size: int

    def top_files(self) -> Iterator[Path]:
        """Plain files right below the directory."""
        for one in self.members:
            if one.kind == tarfile.REGTYPE and "/" not in one.name:
                yield self.directory / one.name

    def open(self, start: int, end: int) -> "TarReader":
        """A part of the stream."""
        return TarReader(self, start, min(end, self.size))


class TarReader:
    """Reads a range of a stream. Raises: SetUnstorable where a file is not what it was when the plan was made."""

    def __init__(self, plan: TarPlan, start: int, end: int) -> None:
        self._left = end - start
        self._pieces = _pieces(plan, start)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; empty at the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        parts: list[bytes] = []
        while wanted:
            if not self._rest:
                self._rest = next(self._pieces)
                continue
            part, self._rest = self._rest[:wanted], self._rest[wanted:]
            parts.append(part)
            wanted -= len(part)
            self._left -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the open file go."""
        self._pieces.close()  # type: ignore[attr-defined]


def _pieces(plan: TarPlan, start: int) -> Iterator[bytes]:
    first = max(bisect_right(plan.members, start, key=lambda one: one.start) - 1, 0)
    for member in plan.members[first:]:
        skip = max(start - member.start, 0)
        if skip < member.head:
            yield member.header()[skip:]
        offset = max(skip - member.head, 0)
        if offset < member.size:
            yield from _contents(plan.directory, member, offset)
        padding = member.padded - max(member.size, offset)
        if padding > 0:
            yield bytes(padding)
    yield bytes(plan.size - max(start, plan.size - _END))


def _contents(directory: Path, member: _Member, offset: int) -> Iterator[bytes]:
    descriptor = os.open(directory / member.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        now = os.fstat(file.fileno())
        if (now.st_size, now.st_mtime_ns) != (member.size, member.changed_ns):
            raise _changed(member)
        file.seek(offset)
        left = member.size - offset
        while left:
            data = file.read(min(left, 1 << 20))
            if not data:
                raise _changed(member)
            left -= len(data)
            yield data


def _changed(member: _Member) -> SetUnstorable:
    return SetUnstorable(
        f"{quoted(member.name, limit=300)} of the copy changed while it was put into the vault",
        hint="nothing may write the directory of a copy; take the copy again",
    )


def plan_tar(directory: Path) -> TarPlan:
    """See what a directory holds. Raises: SetUnstorable for what could not be brought back."""
    members: list[_Member] = []
    offset = files = total = 0
    for name, found in _entries(directory, ""):
        kind, link, size = _kind_of(directory, name, found)
        member = _Member(name, kind, found.st_mode & _MODE, size, found.st_mtime_ns, link, offset, 0)
        member = _Member(name, kind, member.mode, size, member.changed_ns, link, offset, len(member.header()))
        members.append(member)
        offset = member.end
        if kind == tarfile.REGTYPE:
            files, total = files + 1, total + size
    return TarPlan(directory, tuple(members), files, total, offset + _END)


def _entries(directory: Path, below: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory / below) as found:
        entries = sorted(found, key=lambda one: one.name)
    for one in entries:
        name = f"{below}/{one.name}" if below else one.name
        facts = one.stat(follow_symlinks=False)
        yield name, facts
        if stat.S_ISDIR(facts.st_mode):
            yield from _entries(directory, name)


def _kind_of(directory: Path, name: str, found: os.stat_result) -> tuple[bytes, str, int]:
    if stat.S_ISREG(found.st_mode):
        return tarfile.REGTYPE, "", found.st_size
    if stat.S_ISDIR(found.st_mode):
        return tarfile.DIRTYPE, "", 0
    if stat.S_ISLNK(found.st_mode):
        link = str((directory / name).readlink())
        if not stays_inside(name, link):
            raise SetUnstorable(
                f"{quoted(name, limit=300)} of the copy is a link to {quoted(link, limit=300)}, which is not in the copy",
                hint="map tablespaces into the directory of the copy",
            )
        return tarfile.SYMTYPE, link, 0
    raise SetUnstorable(f"{quoted(name, limit=300)} of the copy is neither a file nor a directory nor a link")


def stays_inside(name: str, link: str) -> bool:
    """Whether what a link at ``name`` says leads to something in the same directory tree, other links left aside."""
    if link.startswith("/"):
        return False
    depth = name.count("/")
    for part in link.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return False
    return True
