"""Events of a binary log, read from its bytes: sizes, checksums, transactions; nothing of what they say.

Source: MariaDB knowledge base, "Replication Protocol", "Binlog Event Header", "GTID_EVENT", "FORMAT_DESCRIPTION_EVENT".
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

__all__ = ["FIRST_POSITION", "MAGIC", "BinlogDamaged", "Event", "Torn", "is_end_of_group", "read_events", "read_gtid"]

MAGIC: Final = b"\xfebin"
FIRST_POSITION: Final = len(MAGIC)

_HEADER = struct.Struct("<IBIIIH")  # time, type, server, size, where the next one begins, flags
_CHECKSUM_BYTES = 4
_CRC32 = 1
_QUERY, _XID, _FORMAT, _XA_PREPARE, _QUERY_COMPRESSED = 2, 16, 15, 38, 165
_GTID = 162
_IN_USE = 0x01  # the server clears it when it closes the file, without another checksum
_FLAGS_AT = 17  # in the header
_STANDALONE = 0x01
_LARGEST_EVENT_BYTES = 2**30 + 2**20  # max_allowed_packet is at most 1 GiB
_QUERY_HEADER = struct.Struct("<IIBHH")  # thread, seconds, length of the database's name, error, length of status variables


class BinlogDamaged(Exception):
    """The bytes are no events; the message says what and where."""


class Torn(Exception):
    """The last event is not whole, as in a file that is still being written."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the event at {offset} is not whole")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``body`` is without header and checksum."""

    offset: int
    end: int
    seconds: int  # since 1970, when its statement began
    kind: int
    server_id: int
    body: bytes

    @property
    def is_gtid(self) -> bool:
        """Whether a transaction, or a statement on its own, begins here."""
        return self.kind == _GTID


def read_events(file: BinaryIO, *, resume_at: int = 0) -> Iterator[Event]:
    """The events of one file, each with its checksum verified where the file has checksums.

    With ``resume_at`` those between the first, which describes the format, and that place are left out.

    Raises: BinlogDamaged; Torn where the bytes end within an event.
    """
    magic = file.read(FIRST_POSITION)
    if len(magic) < FIRST_POSITION:
        raise Torn(0)
    if magic != MAGIC:
        raise BinlogDamaged("it does not begin like a binary log")
    offset, has_checksums = FIRST_POSITION, None
    while header := file.read(_HEADER.size):
        if len(header) < _HEADER.size:
            raise Torn(offset)
        seconds, kind, server_id, size, following, _flags = _HEADER.unpack(header)
        end = offset + size
        if not _HEADER.size + (_CHECKSUM_BYTES if has_checksums else 0) <= size <= _LARGEST_EVENT_BYTES:
            raise BinlogDamaged(f"the event at {offset} says that it has {size} bytes")
        if following not in (end & 0xFFFFFFFF, 0):
            raise BinlogDamaged(f"the event at {offset} of {size} bytes says that the next one begins at {following}")
        rest = file.read(size - _HEADER.size)
        if len(rest) < size - _HEADER.size:
            raise Torn(offset)
        if has_checksums is None:
            has_checksums = _has_checksums(rest, kind, offset)
        if has_checksums:
            _require_checksum(header, rest, kind, offset)
        body = rest[: len(rest) - (_CHECKSUM_BYTES if has_checksums else 0)]
        yield Event(offset, end, seconds, kind, server_id, body)
        if offset == FIRST_POSITION and resume_at > end:
            end = file.seek(resume_at)
        offset = end


def _has_checksums(rest: bytes, kind: int, offset: int) -> bool:
    """The first event tells the algorithm, in the byte before its own checksum, which it always has."""
    if kind != _FORMAT or len(rest) < _CHECKSUM_BYTES + 1:
        raise BinlogDamaged(f"the event at {offset} does not describe the format")
    algorithm = rest[-_CHECKSUM_BYTES - 1]
    if algorithm not in (0, _CRC32):
        raise BinlogDamaged(f"the checksums are of an unknown kind, {algorithm}")
    return algorithm == _CRC32


def _require_checksum(header: bytes, rest: bytes, kind: int, offset: int) -> None:
    (expected,) = struct.unpack_from("<I", rest, len(rest) - _CHECKSUM_BYTES)
    content = memoryview(rest)[:-_CHECKSUM_BYTES]
    found = zlib.crc32(content, zlib.crc32(header))
    if found != expected and kind == _FORMAT:
        closed = bytearray(header)
        closed[_FLAGS_AT] &= ~_IN_USE
        found = zlib.crc32(content, zlib.crc32(closed))
    if found != expected:
        raise BinlogDamaged(f"the event at {offset} has CRC {found:#010x}, and {expected:#010x} was written")


def read_gtid(event: Event) -> tuple[str, bool]:
    """The transaction's id, and whether one statement follows that ends it (a DDL statement commits itself)."""
    if len(event.body) < struct.calcsize("<QIB"):
        raise BinlogDamaged(f"the event at {event.offset} is too short for a transaction's id")
    sequence, domain, flags = struct.unpack_from("<QIB", event.body)
    return f"{domain}-{event.server_id}-{sequence}", bool(flags & _STANDALONE)


def is_end_of_group(event: Event, *, is_standalone: bool) -> bool:
    """Whether the transaction is complete with this event."""
    if event.kind in (_XID, _XA_PREPARE):
        return True
    if event.kind not in (_QUERY, _QUERY_COMPRESSED):
        return False
    return is_standalone or (event.kind == _QUERY and _statement(event) in (b"COMMIT", b"ROLLBACK"))


def _statement(event: Event) -> bytes:
    if len(event.body) < _QUERY_HEADER.size:
        raise BinlogDamaged(f"the event at {event.offset} is too short for a statement")
    _thread, _seconds, database, _error, variables = _QUERY_HEADER.unpack_from(event.body)
    return event.body[_QUERY_HEADER.size + variables + database + 1 :]
