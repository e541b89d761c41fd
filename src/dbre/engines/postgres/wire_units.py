"""The unit of work: a simple query, or the messages of the extended protocol up to Sync; decided once, held until then."""

from typing import TYPE_CHECKING

from dbre.engines.postgres.wire_frames import read_header
from dbre.engines.postgres.wire_requests import Asked, Prepared
from dbre.ports.wire import PASS, Decide, Decision, InjectedError, Passed

if TYPE_CHECKING:  # the session holds the unit
    from collections import deque

    from dbre.engines.postgres.wire import _Session

__all__ = ["Unit"]

_EXTENDED = frozenset(b"PBDCE")
_PARSE, _BIND, _EXECUTE, _SYNC, _QUERY = b"PBESQ"
_HEADER = 5
_LONGEST_HELD = 4 << 20
_SIMPLE: tuple[bytes, InjectedError | None] = (b"Q", None)


class Unit:
    """Takes messages of a client and gives out what the server may see."""

    def __init__(self, session: "_Session", decide: Decide, pending: "deque[tuple[bytes, InjectedError | None]]") -> None:
        self._session, self._ask, self._pending = session, decide, pending
        self._asked = Asked(session)
        self._held: list[bytes] = []  # of an extended unit, until it is decided
        self._size = 0
        self._decision: Decision | None = None  # of the present extended unit
        self._foretold: Decision | None = None  # was asked for already, by the short way
        self._has_gone = False  # a part of the unit is with the server, so that it cannot be replaced
        self._swallow = False  # the unit was replaced or dropped: what is left of it goes nowhere
        self._prepared = Prepared()
        self._bound = b""  # what the portal of the unit was bound to: the body of its Parse

    def is_whole(self, data: bytes) -> bool:
        """Whether ``data`` is one unit from its first byte to its last that passes as it is: the short way past ``take``.

        Where it is not, nothing has changed, but that a decision may have been made: the next one to be taken gets it.
        """
        size = len(data)
        if self._held or self._decision is not None or self._has_gone or self._swallow or size < _HEADER:
            return False
        kind, length = read_header(data, 0)
        if kind != _QUERY:
            return kind in _EXTENDED and self._is_whole_extended(data)
        if size != length + 1 or not self._passes(data):
            return False
        self._pending.append(_SIMPLE)
        return True

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

    def _is_whole_extended(self, data: bytes) -> bool:
        position, end, parses, executed = 0, len(data), [], False
        bound, kind = b"", 0
        while end - position >= _HEADER and kind != _SYNC:
            kind, length = read_header(data, position)
            after = position + length + 1
            if length < 4 or after > end or (kind not in _EXTENDED and kind != _SYNC):
                return False
            if kind == _PARSE:
                parses.append(data[position:after])
            elif kind == _BIND and not executed:
                bound = data[position:after]
            executed = executed or kind == _EXECUTE
            position = after
        if kind != _SYNC or position != end:
            return False
        for parse in parses:  # even if the long way comes, which does the same once more
            self._prepared.remember(parse)
        if executed and not self._passes(self._prepared.of_bind(bound) if bound else b""):
            return False
        self._session.sent(b"S")
        return True

    def _passes(self, message: bytes) -> bool:
        self._asked.message = message
        decision = self._ask(self._asked)
        if decision is PASS or decision == PASS:
            return True
        self._foretold = decision
        return False

    def _decide(self, message: bytes) -> Decision:
        foretold, self._foretold = self._foretold, None
        if foretold is not None:
            return foretold
        self._asked.message = message
        return self._ask(self._asked)

    def _simple(self, kind: bytes, piece: bytes, is_end: bool, passed: Passed) -> None:
        self.give_out(passed)
        if self._has_gone:  # in the middle of an extended unit: no client does it, so it is left alone
            self._session.sent(kind)
            passed.onward.append((0.0, piece))
            return
        decision = self._decide(piece if kind == b"Q" else b"")
        if decision.is_reset:
            passed.is_reset = True
        elif decision.error is not None and is_end:
            self._session.replaced(decision.error, passed, decision.delay_seconds)
        elif not (decision.is_dropped and is_end):
            self._session.sent(kind)
            passed.onward.append((decision.delay_seconds, piece))

    def _extended(self, kind: bytes, piece: bytes, passed: Passed) -> None:
        if kind == b"P" and not self._swallow:
            self._prepared.remember(piece)
        elif kind == b"B":
            self._bound = self._prepared.of_bind(piece)
        if self._swallow:
            return
        self._held.append(piece)
        self._size += len(piece)
        if kind == b"E" and self._decision is None:
            self._decision = self._decide(self._bound)
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
        self._decision, self._has_gone, self._swallow, self._bound = None, False, False, b""
