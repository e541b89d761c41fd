"""MySQL's protocol between a client and a server: commands are found, held, and turned into errors.

An error is made by the server: the command is replaced by a statement that cannot be parsed, and the error of that one is
rewritten on its way back. So the order of answers is the server's own and true, also where a client sends several commands
before it reads, and nothing of the command was run. A transaction goes on, as it does after any error of a statement here.
"""

import secrets
from collections import deque
from collections.abc import Sequence

from dbre.engines.mysql.wire_commands import Commands
from dbre.engines.mysql.wire_frames import HEADER, Frames, Piece, injected_error, packet
from dbre.engines.mysql.wire_login import ask_plainly, read_login
from dbre.ports.wire import Decide, Decision, InjectedError, Passed, Statement, StatementClass, TlsRequest, WireSession

__all__ = ["MySqlWire"]

_LONGEST_HELD = 1 << 16  # of a client's packet: enough to decide by; the rest of it passes as it comes
_LONGEST_ANSWER = 2048  # of a server's packet that is looked into: a greeting, an error, what was prepared
_OK, _ERROR, _WANTS_FILE = 0x00, 0xFF, 0xFB
_QUERY = b"\x03"
_PREPARED_SIZE = 12


class MySqlWire:
    """Implements ``ports.wire.WirePort``."""

    classes: Sequence[StatementClass] = tuple(StatementClass)

    def session(self, decide: Decide, tls: TlsRequest) -> WireSession:
        """A connection that begins now."""
        return _Session(decide, tls)


class _Session:
    """One connection. Implements ``ports.wire.WireSession``."""

    def __init__(self, decide: Decide, tls: TlsRequest) -> None:
        self._decide, self._tls = decide, tls
        self.why_opaque = ""
        self.user = self.database = self.application = ""
        self.is_logging_in = True  # until the server says OK; again after COM_CHANGE_USER
        self._has_greeted = self._has_answered = False
        self._client = Frames(longest_held=_LONGEST_HELD)
        self._server = Frames(longest_held=_LONGEST_ANSWER)
        self._commands = Commands(self)
        self._mark = f"dbre_injected_fault_{secrets.token_hex(6)}".encode()  # no client can write it by chance
        # Commands that the server owes an answer: the text of a PREPARE, the error of one that was replaced, or neither.
        self._pending: deque[str | InjectedError | None] = deque()
        self._last_number = 0  # of the server's packets
        self._has_new = False  # a command was sent since then

    @property
    def is_opaque(self) -> bool:
        """Whether nothing is framed any more."""
        return bool(self.why_opaque)

    def from_client(self, data: bytes) -> Passed:
        """Take in what the client sent."""
        passed = Passed()
        if not self.is_opaque:
            for piece in self._client.pieces(data):
                if self.is_opaque:
                    passed.onward.append((0.0, piece.data))
                else:
                    self._from_client(piece, passed)
                if passed.is_reset:
                    return passed
            data = b""
        if self.is_opaque and (rest := self._client.rest() + data):
            passed.onward.append((0.0, rest))
        return passed

    def from_server(self, data: bytes) -> Passed:
        """Take in what the server sent."""
        if self.is_opaque:
            return Passed(onward=[(0.0, self._server.rest() + data)])
        out = [self._from_server(piece) for piece in self._server.pieces(data)]
        if self.is_opaque:
            out.append(self._server.rest())
        return Passed(onward=[(0.0, b"".join(out))] if out else [])

    def release(self) -> Passed:
        """Give out what is held back, undecided."""
        rest = self._client.rest()
        if not rest:
            return Passed()
        self.why_opaque = "released in the middle of a packet"
        return Passed(onward=[(0.0, rest)])

    def sent(self, what: str | InjectedError | None) -> None:
        """A command goes to the server, which answers it; ``what``: the text that it is to prepare, or the error to be made."""
        self._pending.append(what)
        self._has_new = True

    def replaced(self, error: InjectedError) -> bytes:
        """What goes to the server in place of a command."""
        self.sent(error)
        return packet(0, _QUERY + self._mark)

    def decide(self, statement_class: StatementClass, text: str) -> Decision:
        """What becomes of a command."""
        return self._decide(
            Statement(
                user=self.user, database=self.database, application=self.application,
                statement_class=statement_class, text=text,
            )
        )  # fmt: skip

    def _from_client(self, piece: Piece, passed: Passed) -> None:
        if not self.is_logging_in:
            self._commands.take(piece, passed)
            return
        if not self._has_answered and piece.is_begin:
            self._has_answered = True
            login = read_login(piece.payload)
            if login is None:
                self.why_opaque = "a login of a protocol before 4.1"
            elif login.is_encrypting or login.is_compressed:
                self.why_opaque = "encrypted" if login.is_encrypting else "compressed"
            else:
                self.user, self.database, self.application = login.user, login.database, login.application
        passed.onward.append((0.0, piece.data))

    def _from_server(self, piece: Piece) -> bytes:
        if not piece.is_begin or not piece.length:
            return piece.data
        first, number = piece.data[HEADER], piece.number
        begins = number == 1 and (self._last_number != 0 or self._has_new)  # else the number has come round
        self._last_number = number
        if not self._has_greeted:
            return self._greeted(piece)
        if self.is_logging_in:
            self.is_logging_in = first not in (_OK, _ERROR)
            if not self.is_logging_in:
                self._pending.clear()
            return piece.data
        if first == _ERROR and self._mark in piece.data:
            return self._told(piece)
        if begins:
            self._has_new = False
            self._begun(first, piece)
        return piece.data

    def _told(self, piece: Piece) -> bytes:
        self._has_new = False
        while self._pending:  # more than once only where the count of answers was lost
            error = self._pending.popleft()
            if isinstance(error, InjectedError):
                return injected_error(piece.number, error.code, error.message)
        return piece.data

    def _begun(self, first: int, piece: Piece) -> None:
        what = self._pending.popleft() if self._pending else None
        if first == _OK and isinstance(what, str) and piece.length >= _PREPARED_SIZE:
            self._commands.prepared(piece.data[HEADER + 1 : HEADER + 5], what)
        elif first == _WANTS_FILE and what is None:
            self._commands.expect_data()

    def _greeted(self, piece: Piece) -> bytes:
        self._has_greeted = True
        if piece.data[HEADER] == _ERROR:  # too many connections, a host that is not let in
            return piece.data
        greeted = ask_plainly(piece.data, without_tls=self._tls is TlsRequest.REFUSE)
        if not greeted.is_known:
            self.why_opaque = "the server did not greet by protocol 10"
        return greeted.data
