"""Names of WAL files and positions in the WAL, as PostgreSQL writes them."""

import re

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import LogFile, LogKind, LogPosition

__all__ = ["DEFAULT_SEGMENT_BYTES", "is_log_name", "log_file", "lsn", "parse_lsn", "segment_name"]

DEFAULT_SEGMENT_BYTES = 16 << 20
_SMALLEST_SEGMENT, _LARGEST_SEGMENT = 1 << 20, 1 << 30
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_LOG_BYTES = 1 << 32  # what one "log id", the middle third of a segment's name, covers


def lsn(value: int) -> str:
    """The text of a position.

    >>> lsn(0x1_0300_0028)
    '1/3000028'
    """
    return f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"


def parse_lsn(text: str, *, timeline: int) -> LogPosition:
    """A position from its text. Raises: UsageError."""
    match = _LSN.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{quoted(text, limit=60)} is no position in PostgreSQL's WAL", hint="write two hexadecimal numbers: 0/3000028"
        )
    value = (int(match[1], 16) << 32) + int(match[2], 16)
    return LogPosition(timeline=timeline, value=value, text=lsn(value))


def segment_name(timeline: int, value: int, *, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> str:
    """The name of the segment that holds the byte at a position.

    >>> segment_name(1, 0x3000028)
    '000000010000000000000003'
    """
    number = value // segment_bytes
    per_log = _LOG_BYTES // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def is_log_name(name: str) -> bool:
    """Whether a name is one that WAL files and history files have."""
    return _SEGMENT.fullmatch(name) is not None or _HISTORY.fullmatch(name) is not None


def log_file(name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:
    """What a name says: segment, partial segment or history; None for all else, ``.backup`` labels among it.

    Without ``segment_bytes`` the size of the file is taken for it, as long as it is one that segments can have.
    """
    history = _HISTORY.fullmatch(name)
    if history is not None:
        return LogFile(name=name, kind=LogKind.HISTORY, timeline=int(history[1], 16), start=0, end=0, size=size, sha256=sha256)
    match = _SEGMENT.fullmatch(name)
    length = segment_bytes or size
    if match is None or not _SMALLEST_SEGMENT <= length <= _LARGEST_SEGMENT or length & (length - 1):
        return None
    timeline, log, number = (int(match[part], 16) for part in (1, 2, 3))
    if timeline == 0 or number >= _LOG_BYTES // length:
        return None
    start = log * _LOG_BYTES + number * length
    kind = LogKind.PARTIAL if match[4] else LogKind.SEGMENT
    return LogFile(name=name, kind=kind, timeline=timeline, start=start, end=start + length, size=size, sha256=sha256)
