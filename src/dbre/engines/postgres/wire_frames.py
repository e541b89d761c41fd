"""Messages of PostgreSQL's protocol in a stream of bytes: a type, a length, a body; however the bytes are cut."""

import struct
from collections.abc import Iterator

__all__ = ["Frames", "error_response", "key_values", "read_header"]

_HEADER = 5
read_header = struct.Struct(">BI").unpack_from  # type and length of the message at an offset
_LONGEST_HELD = 1 << 20  # of one message that is wanted whole; what is longer passes in pieces
_LONGEST = (1 << 30) + (1 << 20)  # a field has at most 1 GB
_READY = b"Z\0\0\0\5"  # ReadyForQuery, but for the state of the transaction
_READY_SIZE = len(_READY) + 1
_SECOND_LOOK = frozenset(b"ZEGW")  # types of answers of which more has to be known than where they end


class Frames:
    """One direction. A message that is wanted whole is held until it is complete, another passes as it comes."""

    __slots__ = ("_left", "_rest")

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a message that is not complete
        self._left = 0  # bytes of a message that passes in pieces which are still to come

    def rest(self) -> bytes:
        """What is held back; it is given up."""
        rest, self._rest = self._rest, b""
        return rest

    def count(self, data: bytes, *, kind: int, unless: frozenset[int]) -> int | None:
        """How many messages of one type end in ``data``, which may all pass: the short way past ``pieces``.

        None where it has to be the long way, and then nothing has changed: a message of a type in ``unless`` is there,
        something is or would have to be held, or a length is impossible.
        """
        if self._rest:
            return None
        position, end, found, last = self._left, len(data), 0, 0
        while end - position >= _HEADER:
            last, length = read_header(data, position)
            if last in unless or not 4 <= length <= _LONGEST:
                return None
            found += last == kind
            position += length + 1
        if end > position or (position > end and last == kind):
            return None
        self._left = position - end
        return found

    def is_answer(self, data: bytes) -> bool:
        """Whether ``data`` is a whole answer that passes as it is, with the only ReadyForQuery at its end: nearly always.

        Where it is not, nothing has changed, and ``count`` is the next shortest way.
        """
        end = len(data) - _READY_SIZE
        if self._rest or not data.startswith(_READY, end):
            return False
        position = self._left
        while position < end:
            kind, length = read_header(data, position)
            if kind in _SECOND_LOOK or length < 4:
                return False
            position += length + 1
        if position != end:
            return False
        self._left = 0
        return True

    @property
    def is_between(self) -> bool:
        """Whether a new message begins with the next byte."""
        return not (self._rest or self._left)

    def pieces(self, data: bytes, *, whole: bytes) -> Iterator[tuple[bytes | None, bytes, bool]]:
        """Type, bytes and whether the message ends with them. Type None: no message can begin so; all that is left follows.

        Messages whose type is not in ``whole`` come together in one piece of type ``b""``, as far as they are there. Of
        a message that is wanted whole but too long for that, the first piece has its type and the others have ``b""``.
        """
        position, end = 0, len(data)
        if self._rest:
            data, self._rest = self._rest + data, b""
            end = len(data)
        if self._left:
            position = min(self._left, end)
            self._left -= position
            yield b"", data[:position], self._left == 0
        begun = position  # of the run of messages that nobody wants whole
        while end - position >= _HEADER:
            kind, length = data[position : position + 1], int.from_bytes(data[position + 1 : position + _HEADER], "big")
            if not 4 <= length <= _LONGEST:
                if position > begun:
                    yield b"", data[begun:position], True
                yield None, data[position:], True
                return
            is_wanted, after = kind in whole, position + 1 + length
            if is_wanted or after > end:
                if position > begun:
                    yield b"", data[begun:position], True
                begun = position
            if after > end:
                if is_wanted and length <= _LONGEST_HELD:
                    break
                self._left = after - end
                yield (kind if is_wanted else b""), data[position:], False
                return
            if is_wanted:
                yield kind, data[position:after], True
                begun = after
            position = after
        if position > begun:
            yield b"", data[begun:position], True
        self._rest = data[position:]


def key_values(body: bytes) -> dict[str, str]:
    """The parameters of a startup packet."""
    parts = [one.decode("utf-8", "replace") for one in body.split(b"\0")]
    return {key: value for key, value in zip(parts[::2], parts[1::2], strict=False) if key}


def error_response(code: str, message: str) -> bytes:
    """An error as the server words it."""
    fields = (("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", message))
    body = b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body
