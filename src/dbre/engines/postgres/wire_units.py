"""The unit of work: a simple query, or the messages of the extended protocol up to Sync; decided once, held until then."""

from typing import TYPE_CHECKING

from dbre.engines.postgres.statements import class_of
from dbre.ports.wire import Decision, Passed, StatementClass

if TYPE_CHECKING:  # the session holds the unit
    from dbre.engines.postgres.wire import _Session

__all__ = ["Unit"]

_EXTENDED = frozenset(b"PBDCE")
_LONGEST_TEXT = 64 * 1024  # of a statement, as far as anybody chooses by it
_LONGEST_HELD = 4 << 20
_MOST_STATEMENTS = 10_000  # prepared ones that are remembered
_UNKNOWN = (StatementClass.OTHER, "")


class Unit:
    """Takes messages of a client and gives out what the server may see."""

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._held: list[bytes] = []  # of an extended unit, until it is decided
        self._size = 0
        self._decision: Decision | None = None  # of the present extended unit
        self._has_gone = False  # a part of the unit is with the server, so that it cannot be replaced
        self._swallow = False  # the unit was replaced or dropped: what is left of it goes nowhere
        self._statements: dict[bytes, tuple[StatementClass, str]] = {}
        self._bound = _UNKNOWN

    def take(self, kind: bytes, piece: bytes, is_end: bool, passed: Passed) -> None:
        """One message, or a piece of a long one."""
        if kind in (b"Q", b"F"):
            self._simple(kind, piece, is_end, passed)
        elif kind == b"S":
            self._sync(piece, passed)
        elif kind == b"H":
            if not self._swallow:
                self.give_out(passed)
                self._has_gone = True
                passed.onward.append((0.0, piece))
        elif kind and kind[0] in _EXTENDED:
            self._extended(kind, piece, passed)
        else:
            self.give_out(passed)
            passed.onward.append((0.0, piece))

    def give_out(self, passed: Passed) -> None:
        """Send what is held."""
        if self._held:
            delay = self._decision.delay_seconds if self._decision else 0.0
            passed.onward.append((delay, b"".join(self._held)))
            self._held, self._size, self._has_gone = [], 0, True

    def _simple(self, kind: bytes, piece: bytes, is_end: bool, passed: Passed) -> None:
        self.give_out(passed)
        if self._has_gone:  # in the middle of an extended unit: no client does it, so it is left alone
            self._session.sent(kind)
            passed.onward.append((0.0, piece))
            return
        text = _text(piece[5:]) if kind == b"Q" else ""
        decision = self._session.decide(class_of(text) if text else StatementClass.OTHER, text)
        if decision.is_reset:
            passed.is_reset = True
        elif decision.error is not None and is_end:
            self._session.replaced(decision.error, passed, decision.delay_seconds)
        elif not (decision.is_dropped and is_end):
            self._session.sent(kind)
            passed.onward.append((decision.delay_seconds, piece))

    def _extended(self, kind: bytes, piece: bytes, passed: Passed) -> None:
        if kind == b"P" and not self._swallow:
            self._remember(piece)
        elif kind == b"B":
            portal_end = piece.find(b"\0", 5)
            self._bound = self._statements.get(_name(piece, portal_end + 1), _UNKNOWN)
        if self._swallow:
            return
        self._held.append(piece)
        self._size += len(piece)
        if kind == b"E" and self._decision is None:
            self._decision = self._session.decide(*self._bound)
            if self._decision.is_reset:
                passed.is_reset = True
            elif not self._has_gone and (self._decision.error is not None or self._decision.is_dropped):
                self._held, self._size, self._swallow = [], 0, True
        elif self._size > _LONGEST_HELD:
            self.give_out(passed)

    def _sync(self, piece: bytes, passed: Passed) -> None:
        decision = self._decision or Decision()
        if not self._swallow:
            self.give_out(passed)
            self._session.sent(b"S")
            passed.onward.append((0.0, piece))
        elif decision.error is not None:
            self._session.replaced(decision.error, passed, decision.delay_seconds)
        self._decision, self._has_gone, self._swallow, self._bound = None, False, False, _UNKNOWN

    def _remember(self, piece: bytes) -> None:
        name = _name(piece, 5)
        text = _text(piece[6 + len(name) :])
        if len(self._statements) >= _MOST_STATEMENTS and name not in self._statements:
            self._statements.pop(next(iter(self._statements)))
        self._statements[name] = (class_of(text), text)


def _name(piece: bytes, start: int) -> bytes:
    end = piece.find(b"\0", start)
    return piece[start:] if end < 0 else piece[start:end]


def _text(data: bytes) -> str:
    end = data.find(b"\0", 0, _LONGEST_TEXT)
    return data[: end if end >= 0 else _LONGEST_TEXT].decode("utf-8", "replace")
