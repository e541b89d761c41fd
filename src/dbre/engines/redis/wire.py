"""Redis's protocol between a client and a server: commands are found, held, and turned into errors.

An error is made by the server: a command that it does not know goes there instead, and the error of that one is rewritten on
its way back. So answers stay in order, and a transaction (MULTI) fails as a whole, as the server would do it.
"""

from collections import deque
from collections.abc import Sequence

from dbre.engines.redis.resp import Commands, Replies
from dbre.ports.wire import Decide, Decision, InjectedError, Passed, Statement, StatementClass, TlsRequest, WireSession

__all__ = ["RedisWire"]

_INSTEAD = b"*1\r\n$19\r\ndbre_injected_fault\r\n"
_DEFAULT_CODE = "ERR"
_SILENT = "CLIENT REPLY"
_WORDS = {
    "stream": "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE MONITOR SYNC PSYNC REPLCONF",  # more answers than commands, or none
    "login": "AUTH HELLO QUIT RESET",  # left alone, as a login is elsewhere
    "transaction": "MULTI EXEC DISCARD WATCH UNWATCH",
    "other": "SELECT PING CLIENT COMMAND INFO CONFIG ROLE",
    "read": (
        "GET MGET STRLEN GETRANGE EXISTS TTL PTTL TYPE SCAN KEYS RANDOMKEY HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSCAN "
        "LRANGE LINDEX LLEN SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SSCAN SINTER SUNION SDIFF ZRANGE ZSCORE ZMSCORE "
        "ZCARD ZRANK ZCOUNT ZSCAN ZRANGEBYSCORE XRANGE XREVRANGE XLEN XREAD GETBIT BITCOUNT PFCOUNT DBSIZE"
    ),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}


class RedisWire:
    """Implements ``ports.wire.WirePort``."""

    classes: Sequence[StatementClass] = (
        StatementClass.READ,
        StatementClass.WRITE,
        StatementClass.TRANSACTION,
        StatementClass.OTHER,
    )

    def session(self, decide: Decide, tls: TlsRequest) -> WireSession:  # noqa: ARG002 - TLS begins without being asked for
        """A connection that begins now."""
        return _Session(decide)


class _Session:
    """One connection. Implements ``ports.wire.WireSession``."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self.why_opaque = ""
        self.user = "default"
        self.database = "0"
        self._commands, self._replies = Commands(), Replies()
        self._pending: deque[InjectedError | None] = deque()  # what the server owes an answer for

    @property
    def is_opaque(self) -> bool:
        """Whether nothing is framed any more."""
        return bool(self.why_opaque)

    def from_client(self, data: bytes) -> Passed:
        """Take in what the client sent."""
        passed = Passed()
        if not self.is_opaque:
            for raw, words in self._commands.split(data):
                self._command(raw, words, passed)
                if self.is_opaque or passed.is_reset:
                    break
            if self._commands.is_lost and not self.is_opaque:
                self.why_opaque = "what the client sent is not the protocol of Redis"
            data = b""
        if self.is_opaque:
            rest = self._commands.rest() + data
            if rest:
                passed.onward.append((0.0, rest))
        return passed

    def from_server(self, data: bytes) -> Passed:
        """Take in what the server sent."""
        if self.is_opaque:
            return Passed(onward=[(0.0, self._replies.rest() + data)])
        out = []
        for piece, ends_reply, is_push in self._replies.split(data):
            error = self._pending[0] if self._pending else None
            if ends_reply and not is_push and self._pending:
                self._pending.popleft()
            is_told = error is not None and not is_push and piece[:1] == b"-"
            out.append(f"-{error.code or _DEFAULT_CODE} {error.message}\r\n".encode() if error and is_told else piece)
        if self._replies.is_lost:
            self.why_opaque = "what the server sent is not the protocol of Redis"
            out.append(self._replies.rest())
        return Passed(onward=[(0.0, b"".join(out))] if out else [])

    def release(self) -> Passed:
        """Give out what is held back, undecided."""
        rest = self._commands.rest()
        if not rest:
            return Passed()
        self.why_opaque = "released in the middle of a command"
        return Passed(onward=[(0.0, rest)])

    def _command(self, raw: bytes, words: list[str], passed: Passed) -> None:
        if not words:  # an empty line or array, which the server does not answer
            passed.onward.append((0.0, raw))
            return
        name = words[0].upper()
        if _KINDS.get(name) == "stream" or " ".join(words[:2]).upper() == _SILENT:
            self.why_opaque = f"the client sent {name}, after which answers do not follow commands one by one"
            passed.onward.append((0.0, raw))
            return
        decision = Decision()
        if _KINDS.get(name) != "login":
            seen = {"user": self.user, "database": self.database, "application": "", "text": " ".join(words)}
            decision = self._decide(Statement(statement_class=_class_of(name), **seen))
        if name == "SELECT" and len(words) == 2:
            self.database = words[1]
        elif name == "AUTH" and len(words) == 3:
            self.user = words[1]
        elif name == "HELLO" and len(words) >= 5 and words[2].upper() == "AUTH":
            self.user = words[3]
        if decision.is_reset:
            passed.is_reset = True
        elif decision.error is not None:
            self._pending.append(decision.error)
            passed.onward.append((decision.delay_seconds, _INSTEAD))
        elif not decision.is_dropped:
            self._pending.append(None)
            passed.onward.append((decision.delay_seconds, raw))


def _class_of(name: str) -> StatementClass:
    kind = _KINDS.get(name, "write")  # of what nobody knows it is safer to think that it changes something
    return StatementClass(kind)
