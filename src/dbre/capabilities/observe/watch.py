"""One endpoint under probe: how it is reached, when its slots are due, and how an answer becomes an observation."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from dbre.capabilities.observe.candidate import Candidate
from dbre.capabilities.observe.endpoint import Answer, EndpointProbe
from dbre.capabilities.observe.heartbeat import Heartbeat
from dbre.capabilities.observe.model import ProbeDocument
from dbre.capabilities.observe.preparation import Preparation
from dbre.capabilities.observe.schedule import SlotGrid, phase_of, spread
from dbre.capabilities.observe.tracking import EndpointTracker
from dbre.core.clock import Clock
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose
from dbre.ports.engine import Access, Engine, Timeouts
from dbre.ports.probe import Outcome, ProbeObservation, ProbeRequest

__all__ = ["Surroundings", "Watch", "watches_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all endpoints share. The semaphores bound how many connections may be opening, and tables be prepared, at once."""

    clock: Clock
    settings: ProbeDocument
    connecting: asyncio.Semaphore
    preparing: asyncio.Semaphore


class _Staleness(TypedDict, total=False):
    staleness_seconds: float | None
    least_staleness_seconds: float | None


@dataclass(slots=True, kw_only=True)
class Watch:
    """One endpoint under probe."""

    endpoint: Endpoint
    settings: ProbeDocument
    probe: EndpointProbe
    grid: SlotGrid
    tracker: EndpointTracker
    heartbeat: Heartbeat
    preparation: Preparation | None = None

    def request(self, slot: int, *, wall: datetime, now: float) -> ProbeRequest:
        """What to measure in a slot. A write takes the next number of the heartbeat, the others look for the last one."""
        every = self.settings.fresh_every
        is_write = self.endpoint.purpose is EndpointPurpose.WRITE
        return ProbeRequest(
            purpose=self.endpoint.purpose,
            heartbeat_id=self.endpoint.cluster,
            sequence=self.heartbeat.send(wall, now) if is_write else self.heartbeat.last,
            fresh=(slot + int(spread(f"fresh {self.endpoint}") * every)) % every == 0 or self.tracker.repeats_fresh,
            deadlines=self.settings.deadlines,
        )

    def missed(self, scheduled_at: datetime, *, code: str, reason: str) -> ProbeObservation:
        """A slot of which nothing can be said, because we did not run."""
        return ProbeObservation(
            cluster=self.endpoint.cluster,
            purpose=self.endpoint.purpose,
            scheduled_at=scheduled_at,
            interval_seconds=self.settings.interval.total_seconds(),
            outcome=Outcome.MISSED,
            latency_seconds=None,
            code=code,
            reason=reason,
        )

    def observation(
        self, answer: Answer, *, fresh: bool, scheduled_at: datetime, due: float, finished: float
    ) -> ProbeObservation:
        """What an answer says of its slot; a good answer after the deadline is a timeout."""
        if answer.is_queued:
            return self.missed(scheduled_at, code="saturated", reason="too many connections were opening at once")
        reading, latency = answer.reading, finished - due
        limit = self.settings.total_timeout.total_seconds()
        outcome, code, reason = reading.outcome, reading.code, reading.reason
        if outcome is Outcome.GOOD and latency > limit:
            outcome, code, reason = Outcome.BAD, "timeout", f"the answer took {latency:.3f} s, limit {limit:g} s"
        return ProbeObservation(
            cluster=self.endpoint.cluster,
            purpose=self.endpoint.purpose,
            scheduled_at=scheduled_at,
            interval_seconds=self.settings.interval.total_seconds(),
            outcome=outcome,
            latency_seconds=latency if outcome is Outcome.GOOD else None,
            code=code,
            reason=reason,
            instance=answer.candidate.instance if reading.role is not None else None,
            role=reading.role,
            phases=reading.phases,
            fresh=fresh,
            **self._staleness(reading.heartbeat_sequence, finished),
        )

    def _staleness(self, sequence: int | None, now: float) -> _Staleness:
        if sequence is not None:
            self.heartbeat.saw(sequence)
        if sequence is None or self.endpoint.purpose is not EndpointPurpose.REPLICA:
            return {}
        return {
            "staleness_seconds": self.heartbeat.age(sequence, now),
            "least_staleness_seconds": self.heartbeat.least_age(sequence, now),
        }


def watches_of(cluster: Cluster, *, engine: Engine, surroundings: Surroundings) -> list[Watch]:
    """The endpoints of a cluster, which share a heartbeat and the care for its table."""
    heartbeat = Heartbeat()
    watches = [_watch(cluster, endpoint, engine, surroundings, heartbeat) for endpoint in cluster.endpoints]
    write = next((one for one in watches if one.endpoint.purpose is EndpointPurpose.WRITE), None)
    if write is not None:
        preparation = Preparation(
            cluster=cluster.name,
            engine=engine,
            accesses=lambda: [one.access for one in write.probe.candidates],
            clock=surroundings.clock,
            limit=surroundings.preparing,
        )
        for watch in watches:
            watch.preparation = preparation
    return watches


def _watch(cluster: Cluster, endpoint: Endpoint, engine: Engine, surroundings: Surroundings, heartbeat: Heartbeat) -> Watch:
    settings = surroundings.settings
    names = {instance.address: instance.name for instance in cluster.instances}
    candidates = [
        Candidate(
            engine=engine,
            access=_access(cluster, address, settings),
            instance=names.get(address, str(address)),
            connecting=surroundings.connecting,
            clock=surroundings.clock,
        )
        for address in endpoint.addresses
    ]
    interval = settings.interval.total_seconds()
    return Watch(
        endpoint=endpoint,
        settings=settings,
        probe=EndpointProbe(candidates, clock=surroundings.clock),
        grid=SlotGrid(anchor=0.0, interval=interval, phase=phase_of(cluster.name, endpoint.purpose, interval=interval)),
        tracker=EndpointTracker(endpoint),
        heartbeat=heartbeat,
    )


def _access(cluster: Cluster, address: Address, settings: ProbeDocument) -> Access:
    timeouts = Timeouts(
        connect_seconds=settings.connect_timeout.total_seconds(),
        statement_seconds=settings.statement_timeout.total_seconds(),
        lock_seconds=settings.statement_timeout.total_seconds() / 2,
    )
    return Access.to(cluster, address, timeouts=timeouts, application_name="dbre:probe")
