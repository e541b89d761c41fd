"""What clients find after a change of primary: whether it takes writes, and whether every way leads there."""

from collections.abc import Sequence

from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Cluster, EndpointPurpose, Instance
from dbre.core.operation.definition import Verification
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.engine import Access, EngineRegistry
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest
from dbre.ports.route import Route

__all__ = ["routes_lead", "takes_writes"]

_DEADLINES = ProbeDeadlines(connect_seconds=2.0, statement_seconds=2.0, total_seconds=5.0)
_LONGEST_TEXT = 300


async def takes_writes(
    engines: EngineRegistry, clock: Clock, cluster: Cluster, instance: Instance, *, purpose: str
) -> Verification:
    """Write the heartbeat over a connection of its own and read it back: a commit that hangs is seen, too.

    Where dbre may not write, nothing is held against the server: that it calls itself writable was read before.
    """
    prober = engines.get(cluster.engine).probe(Access.to(cluster, instance.address, application_name=f"dbre:{purpose}"))
    subject = f"{instance.name}: write and read back"
    request = ProbeRequest(
        purpose=EndpointPurpose.WRITE,
        heartbeat_id=f"{cluster.name}:{purpose}",
        sequence=int(clock.now().timestamp() * 1_000_000),
        fresh=True,
        deadlines=_DEADLINES,
    )
    try:
        await prober.prepare()
        reading = await prober.measure(request)
    except DbreError as error:
        return Verification(subject=subject, holds=False, detail=printable(error.message, limit=_LONGEST_TEXT))
    finally:
        await prober.aclose()
    if reading.outcome is Outcome.GOOD:
        return Verification(subject=subject, holds=True, detail=f"in {format_duration(round(reading.phases.total_seconds, 3))}")
    is_ours = reading.outcome is Outcome.EXCLUDED  # dbre lacks the privilege: the role, which was read, must do
    return Verification(subject=subject, holds=is_ours, detail=printable(reading.reason or "", limit=_LONGEST_TEXT))


async def routes_lead(routes: Sequence[Route], address: Address) -> list[Verification]:
    """What every route says of where it leads; one that does not answer does not hold."""
    found: list[Verification] = []
    for route in routes:
        try:
            checks = await route.verify(address)
        except DbreError as error:
            detail = printable(error.message, limit=_LONGEST_TEXT)
            found.append(Verification(subject=f"route {route.name}", holds=False, detail=detail))
            continue
        found += [
            Verification(
                subject=f"route {route.name}: {one.name}",
                holds=one.is_ok or one.is_advice,  # a resolver that keeps an old answer is mended by time alone
                detail=printable(f"{one.seen} (wanted: {one.wanted})", limit=_LONGEST_TEXT),
            )
            for one in checks
        ]
    return found
