"""Names of files of commands and places in them, as numbers that can be compared."""

import re
from dataclasses import dataclass

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import LogFile, LogKind, LogPosition

__all__ = ["TIMELINE", "IncrementName", "as_log_file", "parse_position"]

TIMELINE = 1
"""There is no other: whatever restores Redis begins with files of its own, and so with another server."""

_NAME = re.compile(r"(?P<base>[A-Za-z0-9._-]+?)\.(?P<number>\d{1,10})\.incr\.aof")
_PARTIAL = ".partial"
_FILE_BITS = 32


@dataclass(frozen=True, slots=True)
class IncrementName:
    """A file of commands: ``appendonly.aof.4.incr.aof``."""

    base: str
    number: int

    @classmethod
    def parse(cls, text: str) -> "IncrementName | None":
        """None where it names none."""
        match = _NAME.fullmatch(text)
        return match and cls(match["base"], int(match["number"]))

    @property
    def text(self) -> str:
        """As the server calls it."""
        return f"{self.base}.{self.number}.incr.aof"

    @property
    def next(self) -> "IncrementName":
        """The file after this one."""
        return IncrementName(self.base, self.number + 1)

    @property
    def start(self) -> int:
        """``LogPosition.value`` of its beginning."""
        return self.number << _FILE_BITS

    def at(self, offset: int) -> LogPosition:
        """A place in it."""
        return LogPosition(TIMELINE, self.start + offset, f"{self.text}:{offset}")


def parse_position(text: str) -> tuple[IncrementName, int]:
    """``appendonly.aof.4.incr.aof:328``. Raises: UsageError."""
    file, colon, offset = text.rpartition(":")
    name = IncrementName.parse(file)
    if not colon or name is None or not (offset.isascii() and offset.isdigit()):
        raise UsageError(
            f"{quoted(text, limit=200)} is no place in an append-only file", hint="write it like appendonly.aof.4.incr.aof:328"
        )
    return name, int(offset)


def as_log_file(name: str, *, size: int, sha256: str) -> LogFile | None:
    """What the name of a stored file says; None where it is no file of commands."""
    is_partial = name.endswith(_PARTIAL)
    found = IncrementName.parse(name.removesuffix(_PARTIAL))
    if found is None:
        return None
    return LogFile(
        name=name,
        kind=LogKind.PARTIAL if is_partial else LogKind.SEGMENT,
        timeline=TIMELINE,
        start=found.start,
        end=found.start + size if is_partial else found.next.start,
        size=size,
        sha256=sha256,
    )
