"""The commands of a client: decided one by one, and what is left of a command that went nowhere goes nowhere either."""

from typing import TYPE_CHECKING

from dbre.engines.mysql.statements import class_of, database_of
from dbre.engines.mysql.wire_frames import Piece
from dbre.engines.mysql.wire_login import read_change_of_user
from dbre.ports.wire import Passed, StatementClass

if TYPE_CHECKING:  # the session holds the commands
    from dbre.engines.mysql.wire import _Session

__all__ = ["Commands"]

_QUIT, _INIT_DB, _QUERY, _CHANGE_USER = 0x01, 0x02, 0x03, 0x11
_BINLOG_DUMP, _TABLE_DUMP, _CONNECT_OUT, _REGISTER_REPLICA, _BINLOG_DUMP_GTID = 0x12, 0x13, 0x14, 0x15, 0x1E
_PREPARE, _EXECUTE, _LONG_DATA, _CLOSE, _BULK_EXECUTE = 0x16, 0x17, 0x18, 0x19, 0xFA
_REPLICATION = (_BINLOG_DUMP, _TABLE_DUMP, _CONNECT_OUT, _REGISTER_REPLICA, _BINLOG_DUMP_GTID)
_UNANSWERED = (_QUIT, _LONG_DATA, _CLOSE)
_LAST_PREPARED = b"\xff\xff\xff\xff"
_LONGEST_TEXT = 64 * 1024  # of a statement, as far as anybody chooses by it
_MOST_STATEMENTS = 10_000
_UNKNOWN = (StatementClass.OTHER, "")


class Commands:
    """Takes packets of a client and gives out what the server may see."""

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._is_swallowed = False  # the present command was replaced or dropped
        self._goes_on = False  # its payload has not ended
        self._prepared: dict[bytes, tuple[StatementClass, str]] = {}
        self._last = _UNKNOWN
        self._next_data: int | None = None  # number of the packet with which LOAD DATA LOCAL goes on

    def expect_data(self) -> None:
        """The server asks for a file of the client."""
        self._next_data = 2

    def prepared(self, number: bytes, text: str) -> None:
        """The server has prepared a statement."""
        if len(self._prepared) >= _MOST_STATEMENTS:
            self._prepared.pop(next(iter(self._prepared)))
        self._prepared[number] = self._last = (class_of(text), text)

    def take(self, piece: Piece, passed: Passed) -> None:
        """One packet, or a part of one."""
        if self._goes_on or not piece.is_begin or self._is_data(piece):
            self._goes_on = piece.is_full or not piece.is_end
            if not self._is_swallowed:
                passed.onward.append((0.0, piece.data))
            return
        self._goes_on, self._is_swallowed, self._next_data = piece.is_full or not piece.is_end, False, None
        if not piece.length:  # no command is empty
            passed.onward.append((0.0, piece.data))
            return
        self._command(piece.payload[0], piece, passed)

    def _is_data(self, piece: Piece) -> bool:
        if self._next_data is None or piece.number != self._next_data:
            return piece.number != 0  # the second half of a login, or of a change of user
        self._next_data = (piece.number + 1) % 256 if piece.length else None
        return True

    def _command(self, kind: int, piece: Piece, passed: Passed) -> None:
        session, body = self._session, piece.payload
        if kind in (_QUERY, _EXECUTE, _BULK_EXECUTE):
            self._decide(kind, body, piece, passed)
            return
        if kind in _REPLICATION:
            session.why_opaque = "replication"
        elif kind == _CHANGE_USER:
            session.user, session.database = read_change_of_user(body)
            session.is_logging_in = True
        elif kind == _INIT_DB:
            session.database = body[1:].decode("utf-8", "replace")
        elif kind == _CLOSE:
            self._prepared.pop(body[1:5], None)
        if kind not in _UNANSWERED:
            session.sent(_text(body) if kind == _PREPARE else None)
        passed.onward.append((0.0, piece.data))

    def _decide(self, kind: int, body: bytes, piece: Piece, passed: Passed) -> None:
        session = self._session
        if kind == _QUERY:
            text = _text(body)
            found = (class_of(text), text)
            session.database = database_of(text) or session.database
        else:
            found = self._last if body[1:5] == _LAST_PREPARED else self._prepared.get(body[1:5], _UNKNOWN)
        decision = session.decide(*found)
        if decision.is_reset:
            passed.is_reset = True
        elif decision.error is not None:
            self._is_swallowed = True
            passed.onward.append((decision.delay_seconds, session.replaced(decision.error)))
        elif decision.is_dropped:
            self._is_swallowed = True
        else:
            session.sent(None)
            passed.onward.append((decision.delay_seconds, piece.data))


def _text(body: bytes) -> str:
    return body[1 : 1 + _LONGEST_TEXT].decode("utf-8", "replace")
