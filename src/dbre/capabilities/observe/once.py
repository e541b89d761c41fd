"""One measurement of some endpoints now, outside any schedule: a ``ping`` for databases."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from dbre.capabilities.observe.model import ProbeDocument
from dbre.capabilities.observe.watch import Surroundings, Watch, watches_of
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, EndpointPurpose
from dbre.ports.engine import EngineRegistry
from dbre.ports.probe import ProbeObservation

__all__ = ["probe_once"]

_PAUSE_SECONDS = 1.0
_AT_ONCE = 50


async def probe_once(
    clusters: Sequence[Cluster],
    *,
    engines: EngineRegistry,
    clock: Clock,
    settings: ProbeDocument,
    purpose: EndpointPurpose | None = None,
    count: int = 1,
) -> list[ProbeObservation]:
    """Measure each endpoint ``count`` times, a second apart, all endpoints at once; in the order of rounds, then clusters.

    The first round opens new connections, the others use them again. Nothing is created in the databases; the write purpose
    writes its heartbeat row where the table is there.
    """
    limit = asyncio.Semaphore(_AT_ONCE)
    surroundings = Surroundings(clock=clock, settings=settings, connecting=limit, preparing=limit)
    watches = [
        watch
        for cluster in clusters
        for watch in watches_of(cluster, engine=engines.get(cluster.engine), surroundings=surroundings)
        if purpose is None or watch.endpoint.purpose is purpose
    ]
    found: list[ProbeObservation] = []
    try:
        for number in range(count):
            if number:
                await clock.sleep(_PAUSE_SECONDS)
            found += await asyncio.gather(*(_measure(watch, clock) for watch in watches))
    finally:
        await asyncio.gather(*(watch.probe.aclose() for watch in watches))
    return found


async def _measure(watch: Watch, clock: Clock) -> ProbeObservation:
    due, wall = clock.monotonic(), clock.now()
    request = replace(watch.request(0, wall=wall, now=due), fresh=False)  # the first round opens a connection anyway
    answer = await watch.probe.measure(request, ends=due + watch.settings.total_timeout.total_seconds())
    return watch.observation(answer, fresh=request.fresh, scheduled_at=wall, due=due, finished=clock.monotonic())
