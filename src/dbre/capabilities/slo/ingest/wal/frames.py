"""Bytes of a segment: a header, then records, each with its number and a checksum."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["EPOCH_BYTES", "HEADER_BYTES", "Damage", "Frame", "Header", "frame", "header", "read_frames", "read_header"]

EPOCH_BYTES = 16
_HEADER = struct.Struct(f"<8s{EPOCH_BYTES}sQI")
_FRAME = struct.Struct("<4sIQI")
_MAGIC, _MARK = b"DBREWAL1", b"\xd7REC"
_MAX_PAYLOAD = 64 * 2**20
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Header:
    """Which log a segment belongs to, and the number of the first record that may stand in it."""

    epoch: bytes
    first: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One record; ``end`` is where the next one begins in its segment."""

    number: int
    payload: bytes
    end: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from ``start`` to ``end`` that are no record."""

    start: int
    end: int


def header(epoch: bytes, first: int) -> bytes:
    """The beginning of a segment."""
    body = _HEADER.pack(_MAGIC, epoch, first, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def read_header(data: bytes) -> Header | None:
    """The header of a segment; None where it is damaged."""
    if len(data) < HEADER_BYTES:
        return None
    magic, epoch, first, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(data[: HEADER_BYTES - 4]) != checksum:
        return None
    return Header(epoch, first)


def frame(number: int, payload: bytes) -> bytes:
    """A record as it is written."""
    return _FRAME.pack(_MARK, len(payload), number, _checksum(number, payload)) + payload


def read_frames(data: bytes, start: int = HEADER_BYTES) -> Iterator[Frame | Damage]:
    """The records of a segment, and between them what is none; a torn tail is the damage at the end."""
    position = start
    while position < len(data):
        found = _frame_at(data, position)
        if found is None:
            following = _next_frame(data, position + 1)
            end = len(data) if following is None else following
            yield Damage(position, end)
            position = end
        else:
            yield found
            position = found.end


def _frame_at(data: bytes, position: int) -> Frame | None:
    if position + _FRAME.size > len(data):
        return None
    mark, length, number, checksum = _FRAME.unpack_from(data, position)
    begin, end = position + _FRAME.size, position + _FRAME.size + length
    if mark != _MARK or length > _MAX_PAYLOAD or end > len(data):
        return None
    payload = data[begin:end]
    return Frame(number, payload, end) if _checksum(number, payload) == checksum else None


def _next_frame(data: bytes, position: int) -> int | None:
    while (position := data.find(_MARK, position)) >= 0:
        if _frame_at(data, position) is not None:
            return position
        position += 1
    return None


def _checksum(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, number & 0xFFFFFFFF)
