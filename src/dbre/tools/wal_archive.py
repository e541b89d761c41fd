"""Names in archives of PostgreSQL's log, which pgBackRest and Barman keep under the names that the server gave.

Source: PostgreSQL, ``src/include/access/xlog_internal.h``: XLogFileName, TLHistoryFileName, XLByteToSeg,
XLogLongPageHeaderData.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import quoted
from dbre.ports.backup.model import LogFile, LogKind, LogPosition
from dbre.ports.backup.repository import ForeignSwitch

__all__ = ["SEGMENT_BYTES", "FirstPage", "first_page", "log_file", "position", "segment_bytes", "switches_to"]

SEGMENT_BYTES = 16 * 2**20
"""Size of a segment unless initdb was told another one."""
_SIZES = tuple(2**power for power in range(20, 31))  # 1 MiB to 1 GiB
_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LONG_HEADER = 0x0002
_HEADER = struct.Struct("=HHIQIxxxxQII")  # XLogLongPageHeaderData
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def position(timeline: int, lsn: str) -> LogPosition:
    """A position from an LSN as PostgreSQL writes it.

    >>> position(1, "1/2000028").value == 2**32 + 0x2000028
    True

    Raises: ValueError.
    """
    found = _LSN.fullmatch(lsn)
    if found is None:
        raise ValueError(f"{quoted(lsn, limit=60)} is no LSN")
    return LogPosition(timeline, (int(found[1], 16) << 32) + int(found[2], 16), lsn)


def log_file(name: str, *, segment: int, size: int = 0) -> LogFile | None:
    """What the name of a file in an archive says; None for labels of backups and for what is no log file.

    >>> log_file("00000001000000010000000A", segment=SEGMENT_BYTES).start == 2**32 + 10 * SEGMENT_BYTES
    True
    """
    if (found := _HISTORY.fullmatch(name)) is not None:
        return LogFile(name=name, kind=LogKind.HISTORY, timeline=int(found[1], 16), start=0, end=0, size=size, sha256="")
    found = _NAME.fullmatch(name)
    if found is None or int(found[3], 16) >= 2**32 // segment:
        return None
    start = (int(found[2], 16) << 32) + int(found[3], 16) * segment
    kind = LogKind.PARTIAL if found[4] else LogKind.SEGMENT
    timeline = int(found[1], 16)
    return LogFile(name=name, kind=kind, timeline=timeline, start=start, end=start + segment, size=size, sha256="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPage:
    """What a segment says of itself."""

    position: int
    system_id: str
    segment_bytes: int


def first_page(data: bytes) -> FirstPage | None:
    """From the first bytes of a segment; None where it does not begin as one does."""
    if len(data) < _HEADER.size:
        return None
    _, flags, _, at, _, system_id, size, _ = _HEADER.unpack_from(data)
    if not flags & _LONG_HEADER or size not in _SIZES or at % size:
        return None
    return FirstPage(position=at, system_id=str(system_id), segment_bytes=size)


def segment_bytes(pairs: Iterable[tuple[str, str]]) -> int | None:
    """The size of a segment from names and LSNs that lie in them; None where they contradict every size.

    >>> segment_bytes([("000000010000000000000002", "0/2000028")]) == SEGMENT_BYTES
    True
    """
    known = list(pairs)
    fitting = [size for size in _SIZES if all(_lies_in(name, lsn, size) for name, lsn in known)]
    return SEGMENT_BYTES if SEGMENT_BYTES in fitting else next(iter(fitting), None)


def _lies_in(name: str, lsn: str, size: int) -> bool:
    file = log_file(name, segment=size)
    return file is not None and file.start <= position(file.timeline, lsn).value <= file.end  # a stop may be the very end


def switches_to(timeline: int, history: str, *, system_id: str) -> tuple[ForeignSwitch, ...]:
    """Where a timeline and each of its ancestors left their parents, oldest first, from its history file.

    >>> [(one.timeline, one.parent, one.at) for one in switches_to(2, "1\\t0/30000A0\\tno recovery target", system_id="7")]
    [(2, 1, 50331808)]

    Raises: ProgramFailed where the text is no history. Source: PostgreSQL, ``timeline.c``: readTimeLineHistory.
    """
    try:
        left = [_left(line) for line in history.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    except ValueError as error:
        raise ProgramFailed(
            f"the history file of timeline {timeline} is none: {error}", hint="recovery past it fails"
        ) from error
    line = [*(parent for parent, _ in left), timeline]
    if sorted(set(line)) != line:
        raise ProgramFailed(
            f"the timelines of the history file of timeline {timeline} do not ascend", hint="recovery past it fails"
        )
    return tuple(
        ForeignSwitch(system_id=system_id, timeline=child, parent=parent, at=at)
        for (parent, at), child in zip(left, line[1:], strict=True)
    )


def _left(line: str) -> tuple[int, int]:
    words = line.split()
    if len(words) < 2 or not words[0].isascii() or not words[0].isdigit():
        raise ValueError(f"{quoted(line, limit=100)} is no line of it")
    return int(words[0]), position(int(words[0]), words[1]).value
