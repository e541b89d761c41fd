"""Commands and answers in the bytes of RESP 2 and 3, however the bytes are cut; sizes are bounded, nothing is guessed."""

from collections.abc import Iterator

__all__ = ["Commands", "Replies"]

_LONGEST_LINE = 64 * 1024
_MOST_WORDS = 1 << 20
_LONGEST_WORD = 1 << 29
_LONGEST_HELD = 4 << 20  # of a command that is not complete: a longer one is not decided, and nothing after it
_SEEN_WORDS, _SEEN_WORD = 64, 256  # of a command, as far as anybody chooses by it
_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
_BULKS = (b"$", b"=", b"!")
_LINES = (b"+", b"-", b":", b"_", b"#", b",", b"(")


class Commands:
    """What a client sends: arrays of strings. Each is held until it is complete."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._at = 0  # how far the present command was read
        self._missing: int | None = None  # words of it that are still to come; None: not even how many is known
        self._words: list[str] = []
        self.is_lost = False

    def rest(self) -> bytes:
        """What is held back; it is given up."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def split(self, data: bytes) -> Iterator[tuple[bytes, list[str]]]:
        """Whole commands: their bytes, and their first words."""
        self._rest += data
        while self._rest and not self.is_lost and self._advance():
            raw, words = bytes(self._rest[: self._at]), self._words
            del self._rest[: self._at]
            self._at, self._missing, self._words = 0, None, []
            yield raw, words
        self.is_lost = self.is_lost or len(self._rest) > _LONGEST_HELD

    def _advance(self) -> bool:
        """Read on where it was left; whether the command is complete."""
        data = self._rest
        if self._missing is None:
            if data[:1] != b"*":
                return self._inline(data)
            count, after = self._number(data, 1, _MOST_WORDS)
            if not after:
                return False
            self._missing, self._at = count, after
        while self._missing:
            if (mark := data[self._at : self._at + 1]) and mark != b"$":
                self.is_lost = True
                return False
            length, after = self._number(data, self._at + 1, _LONGEST_WORD)
            if not after or len(data) < after + length + 2:
                return False
            if len(self._words) < _SEEN_WORDS:
                self._words.append(data[after : after + min(length, _SEEN_WORD)].decode("utf-8", "replace"))
            self._at, self._missing = after + length + 2, self._missing - 1
        return True

    def _inline(self, data: bytearray) -> bool:
        end = data.find(b"\n")
        if end < 0:
            self.is_lost = len(data) > _LONGEST_LINE
            return False
        self._at, self._words = end + 1, bytes(data[:end]).decode("utf-8", "replace").split()[:_SEEN_WORDS]
        return True

    def _number(self, data: bytearray, position: int, most: int) -> tuple[int, int]:
        end = data.find(b"\r\n", position, position + 32)
        if end < 0:
            self.is_lost = self.is_lost or len(data) - position >= 32
            return 0, 0
        text = data[position:end]
        if not text.isdigit() or int(text) > most:
            self.is_lost = True
            return 0, 0
        return int(text), end + 2


class Replies:
    """What a server sends. Long strings pass in pieces; only the line that begins a value is held."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # bytes of a string that are still to come, with its end of line
        self._open: list[int] = []  # values that are missing in each aggregate around
        self._is_push = False
        self.is_lost = False

    def rest(self) -> bytes:
        """What is held back; it is given up."""
        rest, self._rest = self._rest, b""
        return rest

    def split(self, data: bytes) -> Iterator[tuple[bytes, bool, bool]]:
        """Bytes, whether an answer ends with them, and whether that was a push, which answers nothing."""
        data, self._rest = self._rest + data, b""
        position = 0
        while position < len(data):
            if self._left:
                piece = data[position : position + self._left]
                self._left -= len(piece)
                position += len(piece)
                yield piece, self._left == 0 and self._ends(), self._is_push
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                self._rest = data[position:]
                self.is_lost = len(self._rest) > _LONGEST_LINE
                return
            line, kind = data[position : end + 2], data[position : position + 1]
            ends = self._begin(kind, line[1:-2])
            if self.is_lost:
                self._rest = data[position:]
                return
            position = end + 2
            yield line, ends, self._is_push

    def _begin(self, kind: bytes, text: bytes) -> bool:
        """A value begins with this line; whether an answer ends with it."""
        if not self._open:
            self._is_push = kind == b">"
        if kind in _LINES:
            return self._ends()
        digits = text.removeprefix(b"-")
        if (kind not in _BULKS and kind not in _AGGREGATES) or not digits.isdigit() or len(digits) > 18:
            self.is_lost = True
            return False
        count = int(text)
        if kind in _BULKS and count >= 0:
            self._left = count + 2
            return False
        if kind in _AGGREGATES and count > 0:
            if kind == b"|":  # attributes come before the value they are about
                self._open.append(count * 2 + 1)
            else:
                self._open.append(count * _AGGREGATES[kind])
            return False
        return kind != b"|" and self._ends()

    def _ends(self) -> bool:
        """A value is complete; whether all around it are."""
        while self._open:
            self._open[-1] -= 1
            if self._open[-1]:
                return False
            self._open.pop()
        return True
