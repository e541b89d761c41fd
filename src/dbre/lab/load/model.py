"""What a load is asked to do, and what it reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret

__all__ = [
    "Ledger",
    "LedgerAudit",
    "LoadConnection",
    "LoadDriver",
    "LoadKind",
    "LoadPlan",
    "LoadReport",
    "LoadSummary",
    "LoadTarget",
    "Outage",
    "SecondCount",
]

HIGHEST_RATE = 5000.0


class LoadKind(StrEnum):
    """The two kinds of operation."""

    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTarget:
    """Whom to load: of ``addresses`` the first that takes writes, looked for anew with every connection."""

    engine: str
    addresses: tuple[Address, ...]
    user: str
    password: Secret | None
    database: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """How to load. Operations are due at fixed moments, alternately a write and a read, whether or not earlier ones ended.

    An operation counts as failed when it has no answer ``deadline_seconds`` after the moment at which it was *due*, and as
    late when its answer came more than ``late_seconds`` after that moment. ``duration_seconds`` None: until ``stop()``.
    """

    rate: float = 20.0  # operations a second, both kinds together
    duration_seconds: float | None = 30.0
    deadline_seconds: float = 1.0
    late_seconds: float = 0.1
    connections: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.rate <= HIGHEST_RATE:
            raise UsageError(f"a rate of {self.rate:g} operations/s is not possible: 0 < rate <= {HIGHEST_RATE:g}")
        if self.duration_seconds is not None and not 0 < self.duration_seconds <= 7 * 86_400:
            raise UsageError(f"a duration of {self.duration_seconds:g} s is not possible: 0 < duration <= 7 d")
        if not 0 < self.deadline_seconds <= 600:
            raise UsageError(f"a deadline of {self.deadline_seconds:g} s is not possible: 0 < deadline <= 600 s")
        if not 1 <= self.connections <= 90:
            raise UsageError(f"{self.connections} connections are not possible: 1 to 90")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Operations due one after the other that all failed; the next one that was due after them succeeded."""

    kind: LoadKind
    started_at: datetime  # when the first that failed was due
    ended_at: datetime  # when the first that succeeded again was due; the end of the run if none did
    failed_operations: int
    reason: str  # of the first

    @property
    def seconds(self) -> float:
        """How long clients suffered."""
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondCount:
    """Operations that were due in one second of the run; ``late`` ones are among the succeeded."""

    second: int
    succeeded: int
    failed: int
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What became of the operations of one kind: ``scheduled`` is succeeded, failed and missed together."""

    kind: LoadKind
    scheduled: int
    succeeded: int
    failed: int
    missed: int  # the client itself came too late to try: says nothing of the database
    late: int
    outages: tuple[Outage, ...]
    p50_seconds: float | None  # of those that succeeded, from the moment at which they were due; None if none did
    p99_seconds: float | None
    max_seconds: float | None
    seconds: tuple[SecondCount, ...]
    reasons: tuple[tuple[str, int], ...]  # why operations failed, the most frequent first


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the client knows of its writes, by sequence number."""

    run: str
    acknowledged: tuple[int, ...]
    unacknowledged: tuple[int, ...]  # failed for the client; the database may or may not have stored them


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAudit:
    """The ledger against what the database holds."""

    lost: tuple[int, ...]  # acknowledged and not there: the database broke its promise
    unacknowledged_stored: tuple[int, ...]  # not acknowledged and there: allowed

    @property
    def is_clean(self) -> bool:
        """Whether every acknowledged write is there."""
        return not self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """A whole run."""

    started_at: datetime
    ended_at: datetime
    plan: LoadPlan
    writes: LoadSummary
    reads: LoadSummary
    ledger: Ledger

    @property
    def scheduled(self) -> int:
        """All operations that were due."""
        return self.writes.scheduled + self.reads.scheduled

    @property
    def succeeded(self) -> int:
        """Those answered by their deadline."""
        return self.writes.succeeded + self.reads.succeeded

    @property
    def failed(self) -> int:
        """Those with an error, or no answer by their deadline."""
        return self.writes.failed + self.reads.failed

    @property
    def late(self) -> int:
        """Those that succeeded, but late."""
        return self.writes.late + self.reads.late

    @property
    def outages(self) -> tuple[Outage, ...]:
        """When clients suffered, by time."""
        return tuple(sorted((*self.writes.outages, *self.reads.outages), key=lambda one: one.started_at))


class LoadConnection(Protocol):
    """One connection of a load to the server that takes writes. ``abort`` and ``is_usable`` as in ``core.pool``."""

    @property
    def is_usable(self) -> bool:
        """Whether the next operation may be sent."""
        ...

    def abort(self) -> None:
        """Close the socket at once, whatever the server does."""
        ...

    async def write(self, run: str, sequence: int) -> None:
        """Store one number durably; returns when the server has acknowledged it. Cancellation takes effect at once."""
        ...

    async def read(self, run: str) -> None:
        """Read the newest number. Cancellation takes effect at once."""
        ...


class LoadDriver(Protocol):
    """How one engine is loaded."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its operations raise when the database fails."""
        ...

    async def prepare(self) -> None:
        """Make the table that the load writes to, if it is not there."""
        ...

    async def connect(self) -> LoadConnection:
        """Connect to the first address that takes writes. Raises: one of ``errors``, Unreachable if none does."""
        ...

    async def stored(self, run: str) -> Sequence[int]:
        """All numbers of a run that the database holds."""
        ...

    def reason(self, error: Exception) -> str:
        """One word or two for the report: an SQLSTATE, ``connection_refused``."""
        ...
