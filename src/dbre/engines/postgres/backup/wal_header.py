"""The first bytes of a WAL segment: of which major version and which system it is.

Source: ``src/include/access/xlog_internal.h``, XLogLongPageHeaderData and XLOG_PAGE_MAGIC of each version.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from dbre.engines.postgres.backup.plain_files import open_plain
from dbre.ports.backup.model import CopyFault

__all__ = ["WalHeader", "major_of_segment", "read_wal_header"]

_MAGIC = {0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}
_LONG_HEADER = 0x0002


@dataclass(frozen=True, slots=True, kw_only=True)
class WalHeader:
    """What the first page of a segment says."""

    major: int
    timeline: int
    position: int
    system_id: str
    segment_bytes: int


def read_wal_header(path: Path) -> WalHeader | None:
    """The header of a segment; None where it has none that makes sense. Raises: OSError."""
    with os.fdopen(open_plain(path), "rb") as file:
        data = file.read(40)
    if len(data) < 40:
        return None
    magic, flags, timeline, position, _, system_id, segment_bytes, _ = struct.unpack("=HHIQIxxxxQII", data)
    if magic not in _MAGIC or not flags & _LONG_HEADER:
        return None
    return WalHeader(
        major=_MAGIC[magic], timeline=timeline, position=position, system_id=str(system_id), segment_bytes=segment_bytes
    )


def major_of_segment(path: Path) -> int | CopyFault:
    """Of which major version a segment is, or what is wrong with it."""
    try:
        header = read_wal_header(path)
    except OSError as error:
        return CopyFault(rule="log_damaged", subject=path.name, detail=f"it cannot be read: {error.strerror or error}")
    if header is None:
        return CopyFault(rule="log_damaged", subject=path.name, detail="it does not begin as WAL does")
    return header.major
