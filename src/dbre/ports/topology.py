"""Facet ``topology``: what one server process says of itself and of its neighbours, with positions that can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.ports.session import Role

__all__ = [
    "Contact",
    "Downstream",
    "HeartbeatStamp",
    "LogPosition",
    "LogicalEdge",
    "NodeView",
    "Slot",
    "TopologyPort",
    "Upstream",
    "WriterLog",
]


class Contact(StrEnum):
    """How an attempt to reach a server ended. A server that refuses us in its own words lives."""

    ANSWERED = "answered"
    RESET = "reset"  # nobody listens there, or the connection was cut
    TIMEOUT = "timeout"
    EXHAUSTED = "exhausted"  # too many connections: alive
    STARTING = "starting"  # starts, stops, recovers, loads: alive, serves nobody
    REFUSED = "refused"  # login or privilege: alive
    TLS = "tls"  # something speaks there, and not as agreed
    UNKNOWN = "unknown"  # says nothing about the server: no name service, no route, our own fault

    @property
    def is_silence(self) -> bool:
        """Whether it counts towards death."""
        return self in (Contact.RESET, Contact.TIMEOUT)

    @property
    def is_alive(self) -> bool:
        """Whether it proves that the server process lives."""
        return self in (Contact.ANSWERED, Contact.EXHAUSTED, Contact.STARTING, Contact.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """A place in the log of changes. Positions of one system compare by ``offset``, or by ``sequences``, whichever there is."""

    text: str  # as the engine writes it: 0/3000060, 0-1-42
    offset: int | None = None  # bytes from the beginning of the log
    sequences: Mapping[str, int] | None = None  # transactions by GTID domain; None: nobody numbers them

    def bytes_behind(self, ahead: "LogPosition") -> int | None:
        """Bytes up to another position, below 0 where this one is further; None where they are not counted in bytes."""
        return None if self.offset is None or ahead.offset is None else ahead.offset - self.offset

    def transactions_behind(self, ahead: "LogPosition") -> int | None:
        """Transactions of another position that this one lacks, never below 0; None where nobody numbers them."""
        mine = self.sequences
        if mine is None or ahead.sequences is None:
            return None
        return sum(max(0, number - mine.get(domain, 0)) for domain, number in ahead.sequences.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server that this node follows, as this node tells it."""

    address: Address | None  # None: not known while nothing is received
    channel: str  # name of the connection where a node has several; else empty
    is_receiving: bool | None
    received: LogPosition | None  # None: nothing was received since the start
    timeline: int | None  # of what is received
    slot: str | None
    last_message_seconds: float | None  # since the upstream was heard
    is_applying: bool | None  # None: cannot be told apart from waiting
    behind_bytes: int | None = None  # received and not applied, where only the node itself can tell
    user_timeout_ms: int | None = None  # how long what was sent may stay unacknowledged; 0: the kernel's quarter of an hour
    gives_up_seconds: float | None = None  # how long it believes in an upstream that is silent; 0: for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Downstream:
    """A server that this node feeds, as this node tells it."""

    name: str  # as the follower calls itself
    host: str | None
    port: int | None  # None: the follower does not tell where it listens
    state: str  # the engine's own word
    sync_state: str | None  # async, sync, quorum, potential, semisync; None: unknown
    sent: LogPosition | None = None
    written: LogPosition | None = None
    flushed: LogPosition | None = None
    replayed: LogPosition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What a node keeps of its log for somebody."""

    name: str
    is_physical: bool
    is_active: bool
    retained_bytes: int | None
    wal_status: str | None  # reserved, extended, unreserved, lost
    inactive_since: datetime | None  # None: active, or the server is too old to tell
    is_synced: bool = False  # a copy of the primary's slot: inactive by nature


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalEdge:
    """One subscription, seen from either end."""

    name: str
    is_outgoing: bool  # this node publishes
    database: str | None
    host: str | None  # of the subscriber, where it is seen
    is_active: bool
    last_message_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatStamp:
    """The newest heartbeat that a node shows: the number, and when it was written by the clock of whoever wrote it."""

    sequence: int
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLog:
    """How far the log of a node has come with what one server wrote. All text is printable."""

    stream: str  # numbers only grow within it: a domain of MariaDB
    writer: str
    newest: int
    name: str  # of both, to be shown
    unit: str = "transactions"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One server process as it sees itself. Unknown is None, never 0."""

    process_id: str  # the same for two addresses of one running process, and for no others
    node_id: str | None  # must differ between nodes of a cluster; None: the engine has no such thing
    system_id: str | None  # the same for all copies of one database
    role: Role
    is_writable: bool
    may_have_peers: bool = False  # several primaries are as it should be: shards, Galera, group replication
    timeline: int | None = None
    position: LogPosition | None = None  # primary: written; replica: applied
    has_upstream_configured: bool | None = None  # replica: it is told to stream, not only to read an archive
    upstreams: tuple[Upstream, ...] = ()
    downstreams: tuple[Downstream, ...] = ()
    slots: tuple[Slot, ...] = ()
    logical: tuple[LogicalEdge, ...] = ()
    is_replay_paused: bool | None = None
    min_apply_delay_seconds: float | None = None
    synchronous_replicas: int | None = None  # how many must confirm a commit; None: unknown
    heartbeat: HeartbeatStamp | None = None
    writer: str | None = None  # how logs name what this node writes itself
    writers: tuple[WriterLog, ...] | None = None  # all that its log knows; None: it does not tell who wrote what
    measured_at: datetime  # server clock, UTC


class TopologyPort(Protocol):
    """What one server process says of itself and of its neighbours."""

    async def view(self, *, heartbeat: str | None = None) -> NodeView:
        """This node now. ``heartbeat`` is the row of the heartbeat table: the cluster's name."""
        ...

    def contact(self, error: DbreError) -> Contact:
        """What an error of any facet of this server says about whether it lives."""
        ...
