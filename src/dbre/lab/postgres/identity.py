"""A new system identifier for a copied data directory, so that clusters from one template are not taken for one cluster.

``pg_resetwal`` writes the identifier that it finds, and no tool of PostgreSQL changes it. It stands in two places: at the
start of ``global/pg_control``, which ends with a checksum, and in the first page of each WAL segment, which has none.
Source: PostgreSQL ``src/include/catalog/pg_control.h`` (ControlFileData) and ``src/include/access/xlog_internal.h``
(XLogLongPageHeaderData).
"""

import re
import secrets
import struct
import time
from pathlib import Path

from dbre.lab.errors import LabError

__all__ = ["crc32c", "renew_identity"]

_LONGEST_CONTROL = 512  # PG_CONTROL_MAX_SAFE_SIZE: the data and its checksum lie within one sector
_IDENTIFIER = struct.Struct("=Q")
_CHECKSUM = struct.Struct("=I")
_PAGE_INFO = struct.Struct("=HH")
_LONG_HEADER = 0x0002
_IDENTIFIER_IN_PAGE = 24  # after the short header of 20 bytes, aligned to 8
_SEGMENT = re.compile(r"[0-9A-F]{24}")


def renew_identity(data_directory: Path) -> int:
    """Give a cluster that is shut down a new system identifier, and return it.

    Raises: LabError if the control file is not as this module knows it; nothing is changed then.
    """
    control = data_directory / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    end = _checksum_position(bytes(content[:_LONGEST_CONTROL]))
    if end is None:
        raise LabError(f"{control} is not laid out as in any known PostgreSQL: no checksum found")
    (old,) = _IDENTIFIER.unpack_from(content)
    new = (int(time.time()) << 32) | secrets.randbits(32)  # as initdb does it: unique by time, positive as a bigint
    _IDENTIFIER.pack_into(content, 0, new)
    _CHECKSUM.pack_into(content, end, crc32c(bytes(content[:end])))
    for segment in (data_directory / "pg_wal").iterdir():
        if _SEGMENT.fullmatch(segment.name):
            _renew_segment(segment, old, new)
    with control.open("r+b") as file:
        file.write(content)
    return new


def _renew_segment(segment: Path, old: int, new: int) -> None:
    with segment.open("r+b") as file:
        page = file.read(_IDENTIFIER_IN_PAGE + _IDENTIFIER.size)
        _, info = _PAGE_INFO.unpack_from(page)
        if info & _LONG_HEADER and _IDENTIFIER.unpack_from(page, _IDENTIFIER_IN_PAGE)[0] == old:
            file.seek(_IDENTIFIER_IN_PAGE)
            file.write(_IDENTIFIER.pack(new))


def _checksum_position(content: bytes) -> int | None:
    """Where the checksum of everything before it stands: its place differs between versions, its value proves it."""
    state = 0xFFFFFFFF
    for position in range(0, len(content) - 3, 4):
        if position > _IDENTIFIER.size and _CHECKSUM.unpack_from(content, position)[0] == state ^ 0xFFFFFFFF:
            return position
        state = _advance(state, content[position : position + 4])
    return None


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum that PostgreSQL uses.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    return _advance(0xFFFFFFFF, data) ^ 0xFFFFFFFF


def _advance(state: int, data: bytes) -> int:
    for byte in data:
        state = _TABLE[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        state = byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
        rows.append(state)
    return tuple(rows)


_TABLE = _table()
