"""The grammar of an engine's protocol, as far as one who stands between client and server has to know it; no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = [
    "PASS",
    "Decide",
    "Decision",
    "InjectedError",
    "Passed",
    "Request",
    "Statement",
    "StatementClass",
    "TlsRequest",
    "WirePort",
    "WireSession",
]


class StatementClass(StrEnum):
    """What a statement is, by its first words."""

    READ = "read"
    WRITE = "write"
    DDL = "ddl"
    TRANSACTION = "transaction"  # BEGIN, COMMIT, ROLLBACK and their like
    COPY = "copy"
    OTHER = "other"


class TlsRequest(StrEnum):
    """What becomes of a client that asks for encryption, which hides its statements."""

    REFUSE = "refuse"  # answered "no": the client goes on in the clear, or leaves if it insists
    FORWARD = "pass"  # the server decides; where it says yes, statements are not seen any more


class Request(Protocol):
    """One unit of work that a client asks for, before the server gets it. What it is may be found out when it is asked."""

    @property
    def user(self) -> str:
        """Who logged in."""
        ...

    @property
    def database(self) -> str:
        """Where."""
        ...

    @property
    def application(self) -> str:
        """What the client calls itself."""
        ...

    @property
    def statement_class(self) -> StatementClass:
        """What kind of statement it is."""
        ...

    @property
    def text(self) -> str:
        """Its beginning; empty where it is not known (prepared before anybody looked)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A ``Request`` of which all is known already."""

    user: str
    database: str
    application: str
    statement_class: StatementClass
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedError:
    """What the client is told instead of an answer."""

    code: str  # as the engine writes it: SQLSTATE, error number, error word; empty: the engine's own default
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one unit; the default lets it pass."""

    delay_seconds: float = 0.0
    error: InjectedError | None = None
    is_dropped: bool = False  # never sent, never answered
    is_reset: bool = False  # the connection ends with RST instead


PASS = Decision()
"""What nearly every unit is told: it passes as it is. Whoever decides gives this very one, so that it is known at a glance."""

Decide = Callable[[Request], Decision]
"""A request is what it is for the length of the call: the session that made it may use it again."""


@dataclass(slots=True)
class Passed:
    """What follows from bytes that came: what goes on to the other side, and what is answered at once."""

    onward: list[tuple[float, bytes]] = field(default_factory=list)  # seconds to wait first, bytes
    answer: bytes = b""
    is_reset: bool = False


class WireSession(Protocol):
    """One connection. Bytes that were given in come out once and in order, except where a decision says otherwise.

    None for ``Passed``: all of them go on at once, as they came.
    """

    @property
    def is_opaque(self) -> bool:
        """Whether nothing is framed any more: encrypted, replication, cancel, or no sense could be made of it."""
        ...

    @property
    def why_opaque(self) -> str:
        """Why nothing is framed, in words; empty while something is."""
        ...

    @property
    def user(self) -> str:
        """Who logged in, as far as the client said."""
        ...

    @property
    def database(self) -> str:
        """Which database the client asked for."""
        ...

    def from_client(self, data: bytes) -> Passed | None:
        """Take in what the client sent."""
        ...

    def from_server(self, data: bytes) -> Passed | None:
        """Take in what the server sent."""
        ...

    def release(self) -> Passed:
        """Give out what is held back for a decision, undecided: nobody decides any more, or the client is gone."""
        ...


class WirePort(Protocol):
    """An engine's protocol."""

    @property
    def classes(self) -> Sequence[StatementClass]:
        """What statements can be told apart as."""
        ...

    def session(self, decide: Decide, tls: TlsRequest) -> WireSession:
        """A connection that begins now; ``decide`` is asked once for every unit, in the order in which they came."""
        ...
