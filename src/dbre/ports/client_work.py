"""Facet ``client``: what a client of a database does and is told, one act at a time (opt-in: it writes).

Whoever holds acknowledged writes against what is there afterwards must not be wrong about what it was told. So an act
that ends in an error is ``FAILED`` only where the error proves that nothing was committed; all else is ``UNKNOWN``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from dbre.core.errors import Unreachable

__all__ = [
    "ClientConnection",
    "ClientPort",
    "ClientReply",
    "ClientWork",
    "ClientWorkload",
    "Fate",
    "NotWritable",
    "WorkFailed",
]


class ClientWorkload(StrEnum):
    """What clients do; the words of histories (``docs/reference/consistency.md``)."""

    LEDGER = "ledger"  # write ID, read [IDS]
    REGISTER = "register"  # read, write and cas of [KEY, ...]
    SET = "set"  # add ELEMENT, read [ELEMENTS]
    LIST_APPEND = "list-append"  # txn of ["r", KEY, null] and ["append", KEY, ELEMENT]
    BANK = "bank"  # transfer {"from", "to", "amount"}, read {ACCOUNT: BALANCE}


class Fate(StrEnum):
    """What became of an act that was not acknowledged."""

    FAILED = "failed"  # certainly nothing was committed
    UNKNOWN = "unknown"  # it may have been


class WorkFailed(Unreachable):
    """An act was not acknowledged. ``reason`` has the server's code in front where it gave one, and no secret.

    ``is_answer``: the server served its client well by refusing: a conflict with another client, a value that was not there.
    """

    code = "client.work_failed"

    def __init__(self, fate: Fate, reason: str, *, is_answer: bool = False) -> None:
        super().__init__(reason)
        self.fate = fate
        self.is_answer = is_answer
        self.reason = reason


class NotWritable(Unreachable):
    """The server answers, and does not take writes."""

    code = "client.not_writable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWork:
    """One act of a workload: ``f`` and ``value`` as histories have them. Rows of different runs never meet."""

    run: str
    workload: ClientWorkload
    f: str
    value: Any
    isolation: str = "serializable"  # of transactions: serializable, repeatable-read, read-committed


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReply:
    """An acknowledgement: the value as histories have it, who gave it, and where in its log that was."""

    value: Any
    node: str  # host:port, as the server says itself where it can: behind a pooler nobody else knows
    position: str | None = None


class ClientConnection(Protocol):
    """One session of a client (``core.pool.Pooled``)."""

    @property
    def is_usable(self) -> bool:
        """Whether the next act may be sent: open, and no answer outstanding."""
        ...

    @property
    def is_sent(self) -> bool:
        """Whether what was asked last may have been committed, were the connection to end now."""
        ...

    @property
    def node(self) -> str:
        """Who was at the other end when it was opened."""
        ...

    def abort(self) -> None:
        """Close the socket at once: never waits for the server, does nothing the second time."""
        ...

    async def do(self, work: ClientWork) -> ClientReply:
        """Do one act. Raises: WorkFailed; who cancels it asks ``is_sent`` what became of it."""
        ...


class ClientPort(Protocol):
    """Clients of one address."""

    @property
    def workloads(self) -> frozenset[ClientWorkload]:
        """What clients of this engine can do."""
        ...

    async def prepare(self, run: str, workload: ClientWorkload) -> None:
        """Make the tables where they are missing, and what the workload begins with. Raises: Denied, Unreachable."""
        ...

    async def connect(self, *, writable: bool = True) -> ClientConnection:
        """Open a session. Raises: NotWritable where it takes no writes and ``writable`` is asked for; Unreachable; Denied."""
        ...

    async def remove(self, run: str) -> None:
        """Delete the rows of a run. Raises: Denied, Unreachable."""
        ...
