"""The frames of a file of BSON documents, and the time of an entry of the oplog; nothing else of BSON is needed here.

Source: https://bsonspec.org/spec.html (a document is its own length as int32, elements, and a zero byte).
"""

import struct
from collections.abc import Iterator
from typing import IO

__all__ = ["BrokenBson", "documents", "timestamp_of"]

_SMALLEST, _LARGEST = 5, 64 * 2**20  # of an entry of the oplog; documents themselves end at 16 MiB
_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
_TIMESTAMP = 0x11


class BrokenBson(ValueError):
    """A file is not a row of BSON documents; says at which byte."""


def documents(file: IO[bytes]) -> Iterator[bytes]:
    """The documents one after the other. Raises: BrokenBson where one is cut off or is none."""
    at = 0
    while head := file.read(4):
        if len(head) < 4:
            raise BrokenBson(f"it ends within the length of a document at byte {at}")
        (size,) = struct.unpack("<i", head)
        if not _SMALLEST <= size <= _LARGEST:
            raise BrokenBson(f"a document at byte {at} would have {size} bytes")
        body = file.read(size - 4)
        if len(body) < size - 4:
            raise BrokenBson(f"it ends within a document of {size} bytes at byte {at}")
        if body[-1] != 0:
            raise BrokenBson(f"the document at byte {at} does not end where its length says")
        yield head + body
        at += size


def timestamp_of(document: bytes, name: bytes = b"ts") -> int:
    """The timestamp of that name at the top of a document, as one integer. Raises: BrokenBson.

    >>> timestamp_of(b"\\x11\\x00\\x00\\x00" + b"\\x11ts\\x00" + bytes([7, 0, 0, 0, 9, 0, 0, 0]) + b"\\x00") == 9 * 2**32 + 7
    True
    """
    at, end = 4, len(document) - 1
    while at < end:
        kind = document[at]
        stop = document.find(b"\0", at + 1, end)
        if stop < 0:
            break
        found, value = document[at + 1 : stop], stop + 1
        if found == name and kind == _TIMESTAMP and value + 8 <= end:
            return int(struct.unpack_from("<Q", document, value)[0])
        size = _size(kind, document, value, end)
        if size is None:
            break
        at = value + size
    raise BrokenBson(f"an entry has no timestamp {name.decode(errors='replace')}")


def _size(kind: int, document: bytes, at: int, end: int) -> int | None:
    """The bytes of a value; None where it is of no kind that an entry of the oplog has, or is cut off."""
    if kind in _FIXED:
        return _FIXED[kind]
    if at + 4 > end:
        return None
    length = int(struct.unpack_from("<i", document, at)[0])
    if kind in (0x02, 0x0D, 0x0E):  # strings: the length counts the zero byte, not itself
        found = length + 4
    elif kind in (0x03, 0x04, 0x0F):  # documents: the length counts itself
        found = length
    elif kind == 0x05:  # binary: length, subtype, bytes
        found = length + 5
    else:
        return None
    return found if found >= 4 and at + found <= end else None
