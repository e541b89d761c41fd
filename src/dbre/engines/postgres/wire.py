"""PostgreSQL's protocol between a client and a server: units of work are found, held, and turned into errors.

An error is made by the server: the unit is replaced by a statement that cannot be parsed, and the error of that one is
rewritten on its way back. So the order of answers, the state of the transaction and every savepoint are the server's own and
true, and nothing of the unit was run. The server's log names the statement that came instead.
"""

from collections import deque
from collections.abc import Sequence

from dbre.engines.postgres.wire_frames import Frames, error_response, key_values
from dbre.engines.postgres.wire_units import Unit
from dbre.ports.wire import Decide, InjectedError, Passed, StatementClass, TlsRequest, WireSession

__all__ = ["PostgresWire"]

_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104
_LONGEST_STARTUP = 10_000  # the server's own limit: MAX_STARTUP_PACKET_LENGTH
_INSTEAD = b"dbre_injected_fault"
_REPLACEMENT = b"Q" + (len(_INSTEAD) + 5).to_bytes(4, "big") + _INSTEAD + b"\0"
_DEFAULT_CODE = "57014"  # query_canceled: what clients already have to handle
_READY = ord("Z")
_MATTERING = frozenset(b"EGW")  # types of answers that need a second look, besides ReadyForQuery


class PostgresWire:
    """Implements ``ports.wire.WirePort``."""

    classes: Sequence[StatementClass] = tuple(StatementClass)

    def session(self, decide: Decide, tls: TlsRequest) -> WireSession:
        """A connection that begins now."""
        return _Session(decide, tls)


class _Session:
    """One connection. Implements ``ports.wire.WireSession``."""

    def __init__(self, decide: Decide, tls: TlsRequest) -> None:
        self._tls = tls
        self.why_opaque = ""
        self.user = self.database = self.application = ""
        self._startup: bytes | None = b""  # None once it is over
        self._asked_tls = False  # passed on; the server's one byte decides
        self._client, self._server = Frames(), Frames()
        self._pending: deque[tuple[bytes, InjectedError | None]] = deque()  # units that the server owes a ReadyForQuery
        self._unit = Unit(self, decide, self._pending)
        self._in_copy = False  # COPY of the extended protocol: the server ignores the Sync before it
        self._is_told = False  # the error of the present unit was rewritten

    @property
    def is_opaque(self) -> bool:
        """Whether nothing is framed any more."""
        return bool(self.why_opaque)

    def from_client(self, data: bytes) -> Passed | None:
        """Take in what the client sent."""
        client = self._client
        if not (self._startup is not None or self.why_opaque or client.held or client.left) and self._unit.is_whole(data):
            return None
        passed = Passed()
        if self._startup is not None:
            data = self._start(self._startup + data, passed)
        if self.is_opaque or self._startup is not None:
            if data:
                passed.onward.append((0.0, data))
            return passed
        for kind, piece, is_end in self._client.pieces(data, whole=b"QPBECDSHF"):
            if kind is None:
                self._turn_opaque("a message of impossible length", piece, passed)
                return passed
            self._unit.take(kind, piece, is_end, passed)
            if passed.is_reset:
                return passed
        return passed

    def from_server(self, data: bytes) -> Passed | None:
        """Take in what the server sent."""
        if self._asked_tls and data:
            return self._tls_answer(data)
        if self.why_opaque:
            return Passed(onward=[(0.0, self._server.rest() + data)])
        if self._server.is_answer(data):
            self._in_copy = self._is_told = False
            if self._pending:
                self._pending.popleft()
            return None
        ready = self._server.count(data, kind=_READY, unless=_MATTERING)
        if ready is not None:
            for _ in range(ready):
                self._is_ready()
            return None
        return self._second_look(data)

    def _second_look(self, data: bytes) -> Passed:
        out: list[bytes] = []
        for kind, piece, _ in self._server.pieces(data, whole=b"ZEGW"):
            if kind is None:
                self.why_opaque = "the server sent a message of impossible length"
            out.append(self._answered(kind, piece))
        return Passed(onward=[(0.0, b"".join(out))] if out else [])

    def release(self) -> Passed:
        """Give out what is held back, undecided."""
        passed = Passed()
        self._unit.give_out(passed)
        rest = (self._startup or b"") + self._client.rest()
        self._startup = None
        if rest:
            self._turn_opaque("released in the middle of a message", rest, passed)
        return passed

    def sent(self, kind: bytes, error: InjectedError | None = None) -> None:
        """A unit goes to the server; it answers with one ReadyForQuery."""
        if kind == b"S" and self._in_copy:
            self._in_copy = False
            return  # the Sync before was ignored, so this one ends the unit
        self._pending.append((kind, error))

    def replaced(self, error: InjectedError, passed: Passed, delay: float) -> None:
        """A statement that fails goes to the server in place of a unit."""
        self.sent(b"Q", error)
        passed.onward.append((delay, _REPLACEMENT))

    def _is_ready(self) -> None:
        self._in_copy = self._is_told = False
        if self._pending:
            self._pending.popleft()

    def _answered(self, kind: bytes | None, piece: bytes) -> bytes:
        if kind == b"Z":
            self._is_ready()
        elif kind == b"G" and self._pending and self._pending[0][0] == b"S":
            self._in_copy = True
        elif kind == b"E" and self._pending and (error := self._pending[0][1]) is not None and not self._is_told:
            self._is_told = True
            return error_response(error.code or _DEFAULT_CODE, error.message)
        return piece

    def _start(self, data: bytes, passed: Passed) -> bytes:
        """The packets before the first message, which have no type. Returns what follows them."""
        while len(data) >= 4:
            length = int.from_bytes(data[:4], "big")
            if not 8 <= length <= _LONGEST_STARTUP:
                self._startup, self.why_opaque = None, "a first packet of impossible length"
                return data
            if len(data) < length:
                break
            packet, data = data[:length], data[length:]
            code = int.from_bytes(packet[4:8], "big")
            if code in (_SSL, _GSS) and self._tls is TlsRequest.REFUSE:
                passed.answer += b"N"
                continue
            passed.onward.append((0.0, packet))
            if code in (_SSL, _GSS):
                self._asked_tls = True
                continue
            self._startup = None
            self._greet(code, packet)
            return data
        self._startup = data
        return b""

    def _greet(self, code: int, packet: bytes) -> None:
        if code == _CANCEL:
            self.why_opaque = "a request to cancel"
        elif code >> 16 != 3:
            self.why_opaque = f"protocol version {code >> 16}"
        else:
            given = key_values(packet[8:])
            self.user = given.get("user", "")
            self.database, self.application = given.get("database", self.user), given.get("application_name", "")
            if given.get("replication", "false").lower() not in ("false", "off", "no", "0"):
                self.why_opaque = "replication"
            self._pending.append((b"startup", None))

    def _tls_answer(self, data: bytes) -> Passed:
        self._asked_tls = False
        if data[:1] in (b"S", b"G"):
            self.why_opaque = "encrypted"
            held, self._startup = self._startup or b"", None
            return Passed(onward=[(0.0, data)]) if not held else Passed(onward=[(0.0, data)], is_reset=True)
        passed = Passed(onward=[(0.0, data[:1])])
        passed.onward += self._second_look(data[1:]).onward if data[1:] else []
        return passed

    def _turn_opaque(self, why: str, rest: bytes, passed: Passed) -> None:
        self._unit.give_out(passed)
        self.why_opaque = why
        passed.onward.append((0.0, rest))
