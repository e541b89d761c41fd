"""Facet ``succession``: what it takes that a server gives up its place, that another takes it over, and that a third follows.

Two halves: what is asked of the server over a connection (``SuccessionPort``), and what is done to its process on its machine
(``HostPort``). Switchover, failover and rejoining are made of them; nobody else closes, promotes or redirects a server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.ports.topology import LogPosition

if TYPE_CHECKING:
    from dbre.ports.engine import Access

__all__ = [
    "Differences",
    "Following",
    "GivesUp",
    "HostPort",
    "HostState",
    "Manner",
    "NoControl",
    "NotDone",
    "NotReplayed",
    "Obstacle",
    "Standing",
    "StopMode",
    "SuccessionPort",
]


class NotReplayed(DbreError):
    """A follower did not reach a position in time."""

    code = "succession.not_replayed"


class NotDone(DbreError):
    """A server was told to give up, take over or follow, and does not show it within the limit."""

    code = "succession.not_done"


class NoControl(UsageError):
    """The inventory does not say how the process is started and stopped, or not enough of it."""

    code = "succession.no_control"


class GivesUp(StrEnum):
    """How a server gives up its place so that no write of anybody is acknowledged afterwards."""

    BY_STOPPING = "by_stopping"  # PostgreSQL: a primary becomes a follower by being started again
    BY_CLOSING = "by_closing"  # MariaDB, Redis: it is closed to writes, and follows online


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Something about one server, seen by its engine, that speaks for or against a change of primary. All text is printable."""

    rule: str  # one word: archive_failing, writers_not_stopped
    subject: str  # what was looked at
    value: str  # what it is
    limit: str  # what it should be
    source: str  # by which statement, view or setting it was seen
    remedy: str
    is_met: bool
    is_blocking: bool  # where it is not met


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a server is, as far as it matters for taking over or following; ``topology`` says the rest. Unknown is None."""

    gives_up: GivesUp
    product: str
    version: tuple[int, ...]
    version_text: str
    needs_login: bool  # who begins to follow must be told as whom, by ``Manner`` or by the inventory
    can_hand_over: bool  # the engine has a command that does the whole change by itself
    forgets_own: bool = False  # who begins to follow is filled anew by its upstream, whatever it has
    at_least: Mapping[str, int] = field(default_factory=dict)  # settings of which a follower needs as much as its upstream
    at_least_next: Mapping[str, int] = field(default_factory=dict)  # those that its next start makes another number of
    alike: Mapping[str, str] = field(default_factory=dict)  # settings that should not differ between the two
    modules: Mapping[str, str] = field(default_factory=dict)  # extensions that the data needs; on a server: what it has
    oldest_transaction_seconds: float | None = None  # of a client that has written or holds a snapshot; 0: there is none
    prepared_transactions: int | None = None
    unflushed_bytes: int | None = None  # log since the last checkpoint: what stopping must write out
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a server follows, in the engine's own words, maybe with a password: the pattern for another one that is to follow."""

    text: Secret
    slot: str | None  # it has a place of its own in the upstream's log


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Whom to follow, and how."""

    upstream: Address
    name: str  # how the follower calls itself: the instance
    user: str | None = None  # None: as ``like`` has it, or as the follower has it already
    password: Secret | None = None
    like: Manner | None = None
    slot: str | None = None  # its place in the upstream's log, made with ``keep_log_for``
    position: str | None = None  # from where on, where its files are a copy and its own log says nothing of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What of a bounded sample of one server's keys another has not. Keys that go by themselves are in no sample."""

    compared: int
    total: int  # keys that it has, all in all
    missing: int  # the other has none of that name
    changed: int  # the other has another type or value there
    names: tuple[str, ...]  # some of both, printable
    too_large: int = 0  # only their presence was compared

    @property
    def text(self) -> str:
        """One sentence.

        >>> Differences(compared=500, total=12000, missing=1, changed=0, names=("a",)).text
        'of a sample of 500 of 12000 keys 1 is missing there and 0 are other there (a)'
        """
        whole = "all of its" if self.compared >= self.total else f"a sample of {self.compared} of {self.total}"
        found = f"{self.missing} {'is' if self.missing == 1 else 'are'} missing there and {self.changed} "
        found += f"{'is' if self.changed == 1 else 'are'} other there"
        shown = f" ({', '.join(self.names)})" if self.names else ""
        large = f"; of {self.too_large} too large to read only the presence was compared" if self.too_large else ""
        return f"of {whole} keys {found}{shown}{large}"


class SuccessionPort(Protocol):
    """What is asked of one server over a connection. Its sessions are its own, and each look is a fresh one.

    Everything that changes something is idempotent: after a crash of the caller it is simply asked again.
    """

    async def standing(self) -> Standing:
        """What this server is; reads only. Raises: Denied naming the privilege that ``promote`` and the others lack."""
        ...

    async def checkpoint(self, *, limit_seconds: float) -> None:
        """Write out what is only in memory, so that the change need not. Nothing where the engine has no such thing."""
        ...

    async def close_to_writes(self, *, limit_seconds: float) -> LogPosition:
        """Let no client write any more, end those that do, and give the last position; it never moves again.

        Raises: Unsupported where ``Standing.gives_up`` says that the process must be stopped; NotDone.
        """
        ...

    async def is_closed(self) -> bool:
        """Whether ``close_to_writes`` has closed it, and nobody opened it since; a follower is not closed by that word."""
        ...

    async def open_to_writes(self) -> None:
        """Undo ``close_to_writes``. Nothing on a server that is open."""
        ...

    async def reached(self, position: LogPosition) -> bool:
        """Whether this follower has applied everything up to a position of its upstream."""
        ...

    async def wait_reached(self, position: LogPosition, *, limit_seconds: float) -> LogPosition:
        """Wait for that, and give what it has applied. Raises: NotReplayed with how much is missing."""
        ...

    async def promote(self, *, limit_seconds: float) -> None:
        """Make this follower a primary that takes writes; nothing on one that is. Raises: NotDone, Denied."""
        ...

    async def manner(self) -> Manner | None:
        """How this server follows, or followed when it last did; None where it never did. Raises: Denied."""
        ...

    async def differences(self, other: "Access", *, limit: int, limit_seconds: float) -> Differences | None:
        """Compare a sample of this server's data with that of another; reads only. None where logs tell what is lost.

        What clients of the other changed since counts, too. Raises: Denied naming what the login lacks.
        """
        ...

    async def lets_in(self, following: Following) -> Obstacle | None:
        """Whether a follower with that login is let in here, tried from this machine; None: not known, or not the engine's way.

        Reads and changes nothing: it logs in as a follower would, and leaves again.
        ``following.upstream`` is this server.
        """
        ...

    async def keep_log_for(self, slot: str) -> bool:
        """Keep from now on what a follower of that name has not received, and say whether that is new.

        A place whose log is gone already is made anew. False, and nothing is done, where the engine has no such thing.
        """
        ...

    async def drop_log_for(self, slots: Sequence[str]) -> None:
        """Keep nothing for them any more; those that are in use, or are not there, are left alone."""
        ...

    async def follow(self, following: Following, *, limit_seconds: float) -> None:
        """Follow another upstream without a restart, and wait until something is received.

        A server that ``gives_up`` by stopping can do so only while it is a follower: else ``HostPort.start_as_follower``.
        Raises: Unsupported, NotDone.
        """
        ...

    async def hand_over(self, to: Address, *, limit_seconds: float) -> None:
        """Have the engine itself make ``to`` the primary and this server its follower, losing nothing, or nothing happens.

        Raises: Unsupported where ``Standing.can_hand_over`` is false; NotDone, after which this server takes writes as before.
        """
        ...


class StopMode(StrEnum):
    """How a process is stopped."""

    ORDERLY = "orderly"  # clients are cut off; what was acknowledged is written, and sent to followers where they are there
    AT_ONCE = "at_once"  # no checkpoint, nothing is sent: the next start recovers


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """The processes of one server on its machine."""

    is_seen: bool  # False: the inventory names no data directory on this machine, so an empty list proves nothing
    processes: tuple[int, ...]  # every process, children too; the main one first
    is_answering: bool  # it has announced that it takes connections

    @property
    def is_gone(self) -> bool:
        """Whether it is certain that no process is left."""
        return self.is_seen and not self.processes


class HostPort(Protocol):
    """What is done to the process of one server, on its machine. Everything is idempotent.

    Raises everywhere: ProgramFailed with what the program printed, Denied where the files belong to others.
    """

    async def state(self) -> HostState:
        """Which processes there are now."""
        ...

    async def stop(self, mode: StopMode = StopMode.ORDERLY, *, limit_seconds: float) -> HostState:
        """Stop it and wait until no process is left. Raises: NotDone with those that are."""
        ...

    async def kill(self, *, limit_seconds: float) -> HostState:
        """SIGKILL to the main process and to all of its children until none is left. Raises: NotDone, NoControl."""
        ...

    async def start(self, *, limit_seconds: float) -> None:
        """Start it as what it is, and wait until it takes connections; nothing where it does. Raises: NotDone."""
        ...

    async def bar(self, following: Following) -> None:
        """Have every later start of a stopped server make it a follower, never a primary, whoever starts it.

        Nothing where an engine's servers follow online only: there the server says itself that it is closed.
        """
        ...

    async def unbar(self) -> None:
        """Undo ``bar``: the next start makes it what it was. Only while nobody else was promoted."""
        ...

    async def start_as_follower(self, following: Following, *, limit_seconds: float) -> None:
        """Make a stopped server a follower, start it and wait until it takes connections.

        Raises: Unsupported where the engine follows online only; NotDone.
        """
        ...

    async def last_position(self) -> LogPosition:
        """Where the log of a stopped server ends. Raises: NotDone where it runs or was not stopped in order; Unsupported."""
        ...

    async def installed_version(self) -> tuple[int, ...] | None:
        """The version of the program that its next start runs; None where nobody can tell. Raises: NoControl."""
        ...

    async def kept_settings(self) -> Mapping[str, str] | None:
        """What the file of settings of this server holds, by names in lower case; None where dbre writes none for it."""
        ...

    async def keep_settings(self, stored: Mapping[str, str | None]) -> None:
        """Have the next start of a stopped server find these values stored; None: nothing is stored of that name.

        For servers that do not start with what they were given, and, running or not, for those with a file of settings.
        Raises: Unsupported where servers store no settings; NotDone.
        """
        ...
