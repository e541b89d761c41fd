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

    __slots__ = ("held", "left")

    def __init__(self) -> None:
        self.held = b""
        """The beginning of a message that is not complete."""
        self.left = 0
        """Bytes of a message that passes in pieces which are still to come."""

    def rest(self) -> bytes:
        """What is held back; it is given up."""
        rest, self.held = self.held, b""
        return rest

    def count(self, data: bytes, *, kind: int, unless: frozenset[int]) -> int | None:
        """How many messages of one type end in ``data``, which may all pass: the short way past ``pieces``.

        None where it has to be the long way, and then nothing has changed: a message of a type in ``unless`` is there,
        something is or would have to be held, or a length is impossible.
        """
        if self.held:
            return None
        position, end, found, last = self.left, len(data), 0, 0
        while end - position >= _HEADER:
            last, length = read_header(data, position)
            if last in unless or not 4 <= length <= _LONGEST:
                return None
            found += last == kind
            position += length + 1
        if end > position or (position > end and last == kind):
            return None
        self.left = position - end
        return found

    def is_answer(self, data: bytes) -> bool:
        """Whether ``data`` is a whole answer that passes as it is, with the only ReadyForQuery at its end: nearly always.

        Where it is not, nothing has changed, and ``count`` is the next shortest way.
        """
        end = len(data) - _READY_SIZE
        if self.held or not data.startswith(_READY, end):
            return False
        position = self.left
        while position < end:
            kind, length = read_header(data, position)
            if kind in _SECOND_LOOK or length < 4:
                return False
            position += length + 1
        if position != end:
            return False
        self.left = 0
        return True

    def pieces(self, data: bytes, *, whole: bytes) -> Iterator[tuple[bytes | None, bytes, bool]]:
        """Type, bytes and whether the message ends with them. Type None: no message can begin so; all that is left follows.

        Messages whose type is not in ``whole`` come together in one piece of type ``b""``, as far as they are there. Of
        a message that is wanted whole but too long for that, the first piece has its type and the others have ``b""``.
        """
        position, end = 0, len(data)
        if self.held:
            data, self.held = self.held + data, b""
            end = len(data)
        if self.left:
            position = min(self.left, end)
            self.left -= position
            yield b"", data[:position], self.left == 0
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
                self.left = after - end
                yield (kind if is_wanted else b""), data[position:], False
                return
            if is_wanted:
                yield kind, data[position:after], True
                begun = after
            position = after
        if position > begun:
            yield b"", data[begun:position], True
        self.held = data[position:]


def key_values(body: bytes) -> dict[str, str]:
    """The parameters of a startup packet."""
    parts = [one.decode("utf-8", "replace") for one in body.split(b"\0")]
    return {key: value for key, value in zip(parts[::2], parts[1::2], strict=False) if key}


def error_response(code: str, message: str) -> bytes:
    """An error as the server words it."""
    fields = (("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", message))
    body = b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body
