"""Packets of MySQL's protocol in a stream of bytes: three bytes of length, a number, a payload; however the bytes are cut.

Source: dev.mysql.com, "Client/Server Protocol"; mariadb.com, "0 - Packet".
"""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["HEADER", "Frames", "Piece", "error_packet", "injected_error", "packet"]

HEADER = 4
_FULL = 0xFFFFFF  # a payload of this length goes on in the next packet
_STATES = {
    1040: "08004", 1044: "42000", 1045: "28000", 1053: "08S01", 1062: "23000", 1064: "42000", 1105: "HY000", 1152: "08S01",
    1205: "HY000", 1213: "40001", 1290: "HY000", 1317: "70100", 1792: "25006", 1927: "70100",
}  # fmt: skip
_NUMBERS = {"40001": 1213, "70100": 1317, "08004": 1040, "08S01": 1053, "25006": 1792, "23000": 1062, "42000": 1064}
_DEFAULT, _UNKNOWN = 1317, 1105  # ER_QUERY_INTERRUPTED, which clients have to handle anyway; ER_UNKNOWN_ERROR


@dataclass(slots=True)
class Piece:
    """A packet, or a part of one."""

    data: bytes  # with the header, where it is the beginning
    number: int
    is_begin: bool
    is_end: bool
    length: int  # of the whole payload

    @property
    def is_full(self) -> bool:
        """Whether the payload goes on in the next packet."""
        return self.length == _FULL

    @property
    def payload(self) -> bytes:
        """What follows the header, of a piece that is the beginning."""
        return self.data[HEADER:]


class Frames:
    """One direction. A packet comes whole, but of a long one ``longest_held`` bytes are enough, and the rest as it is there."""

    __slots__ = ("_left", "_length", "_longest", "_number", "_rest")

    def __init__(self, *, longest_held: int) -> None:
        self._longest = longest_held
        self._rest = b""
        self._left = self._length = self._number = 0

    def rest(self) -> bytes:
        """What is held back; it is given up."""
        rest, self._rest = self._rest, b""
        return rest

    def pieces(self, data: bytes) -> Iterator[Piece]:
        """Packet by packet, each as soon as it may come."""
        data, self._rest = self._rest + data if self._rest else data, b""
        position, end = 0, len(data)
        if self._left and end:
            position = min(self._left, end)
            self._left -= position
            yield Piece(data[:position], self._number, False, not self._left, self._length)
        while end - position >= HEADER:
            length = int.from_bytes(data[position : position + 3], "little")
            after = position + HEADER + length
            if after > end and end - position < min(length, self._longest) + HEADER:
                break
            self._number, self._length = data[position + 3], length
            self._left = max(after - end, 0)
            yield Piece(data[position : min(after, end)], self._number, True, not self._left, length)
            position = min(after, end)
        self._rest = data[position:]


def packet(number: int, payload: bytes) -> bytes:
    """A packet of its own."""
    return len(payload).to_bytes(3, "little") + bytes((number,)) + payload


def error_packet(number: int, code: int, state: str, message: str) -> bytes:
    """An error as the server words it."""
    text = message.encode("utf-8", "replace")[:512]  # MYSQL_ERRMSG_SIZE
    return packet(number, b"\xff" + code.to_bytes(2, "little") + b"#" + state.encode("ascii", "replace")[:5] + text)


def injected_error(number: int, code: str, message: str) -> bytes:
    """An error by what a person calls it: an error number, an SQLSTATE, or nothing for the default."""
    if code.isdecimal() and len(code) == 4:
        known = int(code)
        return error_packet(number, known, _STATES.get(known, "HY000"), message)
    if len(code) == 5 and code.isascii() and code.isalnum():
        return error_packet(number, _NUMBERS.get(code.upper(), _UNKNOWN), code.upper(), message)
    return error_packet(number, _DEFAULT, _STATES[_DEFAULT], message)
