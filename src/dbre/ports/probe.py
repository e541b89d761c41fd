"""Facet ``probe``: one measurement from a client's point of view, and the observation that the prober makes of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dbre.core.fleet import EndpointPurpose
from dbre.ports.session import Role

__all__ = ["Outcome", "Phases", "ProbeDeadlines", "ProbeObservation", "ProbePort", "ProbeReading", "ProbeRequest"]


class Outcome(StrEnum):
    """What one scheduled probe counts as."""

    GOOD = "good"
    BAD = "bad"  # the database failed us, or did not answer by the deadline
    EXCLUDED = "excluded"  # our own fault (a revoked grant, a missing table): not a valid event, reported apart
    MISSED = "missed"  # the prober itself did not get to run: says nothing about the database


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDeadlines:
    """Limits of one probe in seconds; ``total`` holds whatever the driver does, and is shorter than the interval."""

    connect_seconds: float = 2.0
    statement_seconds: float = 1.0
    total_seconds: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What to measure. ``sequence`` grows by one a scheduled slot; the write purpose stores it, the others read it back."""

    purpose: EndpointPurpose
    heartbeat_id: str  # row of the heartbeat table: the cluster's name
    sequence: int
    fresh: bool  # open a new connection and close it, instead of using the kept one
    deadlines: ProbeDeadlines


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Seconds spent in each phase; None: the phase did not happen (kept connection, or an earlier phase failed)."""

    dns_seconds: float | None = None
    connect_seconds: float | None = None
    tls_seconds: float | None = None
    auth_seconds: float | None = None
    query_seconds: float | None = None
    commit_seconds: float | None = None
    total_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReading:
    """What one address answered."""

    outcome: Outcome  # never MISSED
    code: str | None  # SQLSTATE and its like; "timeout", "wrong_role", "connection_refused", ... where the server gave none
    reason: str | None  # one clean line; None when good
    phases: Phases
    role: Role | None = None
    heartbeat_sequence: int | None = None  # newest sequence seen in the heartbeat row
    system_id: str | None = None


class ProbePort(Protocol):
    """A prober of one server process. Holds at most one kept connection plus one fresh one during a probe."""

    async def prepare(self) -> None:
        """Create the heartbeat table if it is not there and we may; idempotent. Raises: Denied naming the grant script."""
        ...

    async def measure(self, request: ProbeRequest) -> ProbeReading:
        """Measure once. Ends within ``deadlines.total_seconds``, whatever the server does; failures are readings, not errors.

        Cancellation closes the socket at once. A role that does not fit the purpose is BAD with code ``wrong_role``.
        """
        ...

    async def aclose(self) -> None:
        """Close the kept connection without waiting for the server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeObservation:
    """The verdict on one scheduled slot of one endpoint: exactly one is made for each slot, also when nothing ran."""

    cluster: str
    purpose: EndpointPurpose
    scheduled_at: datetime  # UTC; the slot, not the moment at which the answer came
    interval_seconds: float
    outcome: Outcome
    latency_seconds: float | None  # from the scheduled moment to the answer; None unless good
    code: str | None = None
    reason: str | None = None
    instance: str | None = None  # who answered last; None: nobody
    role: Role | None = None
    phases: Phases | None = None
    fresh: bool = False
    staleness_seconds: float | None = None  # replica purpose: age of the newest heartbeat seen there, by the prober's own clock
    least_staleness_seconds: float | None = None  # where that is unknown: the heartbeat is at least this old
