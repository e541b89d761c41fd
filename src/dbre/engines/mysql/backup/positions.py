"""Names of binary logs and places in them, as numbers that can be compared."""

import re
from dataclasses import dataclass

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import LogFile, LogKind, LogPosition

__all__ = ["BinlogName", "as_log_file", "as_position", "parse_position"]

_STORED = re.compile(r"(?P<server>\d{1,10})-(?P<base>[^/\0]+)\.(?P<number>\d{6,10})")
_ON_SERVER = re.compile(r"(?P<base>[^/\0:]+)\.(?P<number>\d{6,10})")
_PARTIAL = ".partial"
_FILE_BITS = 32


@dataclass(frozen=True, slots=True)
class BinlogName:
    """A binary log: which server's, and which of its files.

    Stored files carry the server's number before their name, because every server counts its own files from 1: a replica
    that was promoted goes on with other files of the same names.
    """

    server_id: int
    base: str
    number: int
    digits: int = 6

    @classmethod
    def stored(cls, name: str) -> "BinlogName | None":
        """From the name of a stored file: ``31101-binlog.000004``; None where it is none."""
        match = _STORED.fullmatch(name)
        return match and cls(int(match["server"]), match["base"], int(match["number"]), len(match["number"]))

    @classmethod
    def of(cls, server_id: int, on_server: str) -> "BinlogName":
        """From what the server calls it: ``binlog.000004``. Raises: UsageError."""
        match = _ON_SERVER.fullmatch(on_server)
        if match is None:
            raise UsageError(f"{quoted(on_server, limit=200)} is no name of a binary log", hint="write it like binlog.000004")
        return cls(server_id, match["base"], int(match["number"]), len(match["number"]))

    @property
    def on_server(self) -> str:
        """``binlog.000004``."""
        return f"{self.base}.{self.number:0{self.digits}d}"

    @property
    def text(self) -> str:
        """``31101-binlog.000004``."""
        return f"{self.server_id}-{self.on_server}"

    @property
    def next(self) -> "BinlogName":
        """The file after this one."""
        return BinlogName(self.server_id, self.base, self.number + 1, self.digits)

    @property
    def start(self) -> int:
        """``LogPosition.value`` of its beginning."""
        return self.number << _FILE_BITS

    def at(self, offset: int) -> LogPosition:
        """A place in it."""
        return LogPosition(self.server_id, self.start + offset, f"{self.on_server}:{offset}")


def as_position(name: BinlogName, offset: int) -> LogPosition:
    """A place in a binary log; the server's number is the timeline, since nothing maps places of two servers."""
    return name.at(offset)


def parse_position(text: str, *, server_id: int) -> tuple[BinlogName, int]:
    """``binlog.000004:328``, also with the server's number before it. Raises: UsageError."""
    file, colon, offset = text.rpartition(":")
    if not colon or not (offset.isascii() and offset.isdigit()):
        raise UsageError(f"{quoted(text, limit=200)} is no place in a binary log", hint="write it like binlog.000004:328")
    return BinlogName.stored(file) or BinlogName.of(server_id, file), int(offset)


def as_log_file(name: str, *, size: int, sha256: str) -> LogFile | None:
    """What the name of a stored file says; None where it names no binary log."""
    is_partial = name.endswith(_PARTIAL)
    found = BinlogName.stored(name.removesuffix(_PARTIAL))
    if found is None:
        return None
    return LogFile(
        name=name,
        kind=LogKind.PARTIAL if is_partial else LogKind.SEGMENT,
        timeline=found.server_id,
        start=found.start,
        end=found.start + size if is_partial else found.next.start,
        size=size,
        sha256=sha256,
    )
