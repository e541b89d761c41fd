"""Synthetic checks of a primary: write, read back, as a client does, again and again."""

from dataclasses import dataclass
from math import ceil

from dbre.capabilities.ha.disaster.plan_document import ProvingDocument
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Cluster, EndpointPurpose
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.engine import Access, EngineRegistry
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbePort, ProbeRequest
from dbre.ports.succession import Obstacle

__all__ = ["Proof", "places_of", "prove"]

_DEADLINES = ProbeDeadlines(connect_seconds=2.0, statement_seconds=2.0, total_seconds=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What one address answered."""

    subject: str
    done: int
    wanted: int
    limit_seconds: float
    p95_seconds: float | None
    is_unknown: bool = False  # dbre may not write there: nothing was measured
    problem: str | None = None

    @property
    def is_good(self) -> bool:
        """All were read back, and soon enough; what could not be measured is not held against it."""
        is_soon = self.p95_seconds is not None and self.p95_seconds <= self.limit_seconds
        return self.is_unknown or (self.done == self.wanted and is_soon)

    @property
    def obstacle(self) -> Obstacle:
        """As a check."""
        took = f", 95 of 100 within {format_duration(round(self.p95_seconds, 4))}" if self.p95_seconds is not None else ""
        said = f": {self.problem}" if self.problem else ""
        return Obstacle(
            rule="synthetic_writes",
            subject=self.subject,
            value=f"{self.done} of {self.wanted} written and read back{took}{said}",
            limit=f"all, 95 of 100 within {format_duration(self.limit_seconds)}",
            source="a probe, as clients connect",
            remedy="see what clients see: dbre ha probe; grants: dbre engine sql --grants",
            is_met=self.is_good,
            is_blocking=not self.is_unknown,
        )


def places_of(cluster: Cluster, primary: Address) -> list[Address]:
    """Where clients write: at the primary, and wherever else the inventory leads writers: a proxy, a name."""
    own = {one.address for one in cluster.instances}
    endpoint = cluster.endpoint(EndpointPurpose.WRITE)
    return [primary, *(one for one in (endpoint.addresses if endpoint is not None else ()) if one not in own)]


async def prove(
    engines: EngineRegistry, cluster: Cluster, address: Address, limits: ProvingDocument, clock: Clock, *, name: str
) -> Proof:
    """Write and read back, each time as the limits ask for; the first by a new connection."""
    prober = engines.get(cluster.engine).probe(Access.to(cluster, address, application_name="dbre:disaster"))
    try:
        return await _measured(prober, cluster, limits, clock, name=name)
    except DbreError as error:
        problem = printable(error.message, limit=300)
        limit = limits.latency.total_seconds()
        return Proof(subject=name, done=0, wanted=limits.count, limit_seconds=limit, p95_seconds=None, problem=problem)
    finally:
        await prober.aclose()


async def _measured(prober: ProbePort, cluster: Cluster, limits: ProvingDocument, clock: Clock, *, name: str) -> Proof:
    await prober.prepare()
    begun = int(clock.now().timestamp() * 1_000_000)
    took: list[float] = []
    problem: str | None = None
    for number in range(limits.count):
        request = ProbeRequest(
            purpose=EndpointPurpose.WRITE,
            heartbeat_id=f"{cluster.name}:disaster",
            sequence=begun + number,
            fresh=number == 0,
            deadlines=_DEADLINES,
        )
        reading = await prober.measure(request)
        if reading.outcome is Outcome.GOOD:
            took.append(reading.phases.total_seconds)
            continue
        problem = printable(reading.reason or reading.code or "no reason is known", limit=300)
        if reading.outcome is Outcome.EXCLUDED:
            break
    is_unknown = problem is not None and not took and reading.outcome is Outcome.EXCLUDED
    return Proof(
        subject=name,
        done=len(took),
        wanted=limits.count,
        limit_seconds=limits.latency.total_seconds(),
        p95_seconds=sorted(took)[max(0, ceil(0.95 * len(took)) - 1)] if took else None,
        is_unknown=is_unknown,
        problem=problem,
    )
