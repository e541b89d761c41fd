"""What a unit of work asks for: worked out of its message only when somebody chooses by it."""

from typing import TYPE_CHECKING

from dbre.engines.postgres.statements import class_of
from dbre.ports.wire import StatementClass

if TYPE_CHECKING:  # the session makes them
    from dbre.engines.postgres.wire import _Session

__all__ = ["Asked", "Prepared"]

_HEADER = 5
_LONGEST_TEXT = 64 * 1024  # of a statement, as far as anybody chooses by it
_MOST_STATEMENTS = 10_000  # prepared ones that are remembered


class Asked:
    """Implements ``ports.wire.Request`` over a message Query or Parse; empty: nobody knows what was prepared."""

    __slots__ = ("_class", "_read", "_session", "_text", "message")

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self.message = b""
        """One object for all that a client asks, one message after the other: nobody keeps it."""
        self._read = b""  # the message of which the others are
        self._text = ""
        self._class: StatementClass | None = None

    @property
    def user(self) -> str:
        """Who logged in."""
        return self._session.user

    @property
    def database(self) -> str:
        """Where."""
        return self._session.database

    @property
    def application(self) -> str:
        """What the client called itself at its login."""
        return self._session.application

    @property
    def text(self) -> str:
        """The beginning of the statement."""
        message = self.message
        if self._read is not message:
            start = _HEADER if message[:1] == b"Q" else message.find(b"\0", _HEADER) + 1 if message else 0
            self._read, self._text, self._class = message, _text(message, start), None
        return self._text

    @property
    def statement_class(self) -> StatementClass:
        """By the first words of the text."""
        text = self.text
        if self._class is None:
            self._class = class_of(text) if text else StatementClass.OTHER
        return self._class


class Prepared:
    """The statements that a client has prepared, by their names: the messages that did it."""

    def __init__(self) -> None:
        self._by_name: dict[bytes, bytes] = {}

    def remember(self, parse: bytes) -> None:
        """Keep a Parse, as far as its text is looked at."""
        name = _name(parse, _HEADER)
        if len(self._by_name) >= _MOST_STATEMENTS and name not in self._by_name:
            self._by_name.pop(next(iter(self._by_name)))
        self._by_name[name] = parse[: _HEADER + len(name) + 1 + _LONGEST_TEXT]

    def of_bind(self, bind: bytes) -> bytes:
        """The Parse of what a Bind names; empty where nobody saw it."""
        return self._by_name.get(_name(bind, bind.find(b"\0", _HEADER) + 1), b"")


def _name(piece: bytes, start: int) -> bytes:
    end = piece.find(b"\0", start)
    return piece[start:] if end < 0 else piece[start:end]


def _text(message: bytes, start: int) -> str:
    end = message.find(b"\0", start, start + _LONGEST_TEXT)
    return message[start : end if end >= 0 else start + _LONGEST_TEXT].decode("utf-8", "replace")
