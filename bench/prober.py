"""How punctual the prober is: 500 endpoints at 10 s in one process, 50 of them on a frozen server.

Lag is the time from the scheduled moment of a slot to the moment at which its probe begins. The floor, measured just before in
the same process: the lag of as many bare ``asyncio.sleep`` per second. Passes if p99 < 100 ms, every frozen slot is bad, no
other one is, and every slot that was due has exactly one observation.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from dbre.app import Engines
from dbre.capabilities.observe import Exposition, ProbeDocument, ProbeMetrics, Prober
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.core.telemetry import configure_logging
from dbre.lab import Guardian, PostgresServer
from dbre.lab.account import choose_account
from dbre.lab.cache import cache_directory
from dbre.lab.destruction import destroy
from dbre.lab.postgres import find_postgres
from dbre.lab.site import Site
from dbre.ports.probe import Outcome, ProbeObservation

LIVE, FROZEN, INTERVAL_SECONDS, WARM_UP_SECONDS, MEASURED_SECONDS, FLOOR_SECONDS = 450, 50, 10.0, 12.0, 20.0, 5.0
LIMIT_SECONDS = 0.100


class Lags(ProbeMetrics):
    """Keeps every lag instead of a histogram only."""

    def __init__(self, exposition: Exposition) -> None:
        super().__init__(exposition)
        self.seconds: list[float] = []

    def record_lag(self, seconds: float) -> None:
        super().record_lag(seconds)
        self.seconds.append(seconds)


def make_site(guardian: Guardian) -> Site:
    account = choose_account(os.environ)
    directory = Path(tempfile.mkdtemp(prefix="dbre-bench-"))
    guardian.watch(directory)
    directory.chmod(0o711)
    cache = cache_directory(account, os.environ)
    return Site(directory=directory, account=account, cache=cache, guardian=guardian, durable=False)


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[PostgresServer, PostgresServer]]:
    guardian = Guardian()
    site = make_site(guardian)
    try:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        settings = {"max_connections": str(LIVE + 50), "shared_buffers": "64MB"}
        servers = [PostgresServer(name, site, binaries=binaries, settings=settings) for name in ("live", "frozen")]
        for server in servers:
            await server.start()
        yield servers[0], servers[1]
    finally:
        destroy(site.directory)
        guardian.close()


def cluster(name: str, server: PostgresServer) -> Cluster:
    address: Address = server.address
    return Cluster(
        name=name,
        environment="bench",
        engine="postgresql",
        instances=(Instance(name=name, cluster=name, address=address),),
        endpoints=(Endpoint(cluster=name, purpose=EndpointPurpose.WRITE, addresses=(address,)),),
        databases=("postgres",),
        user=server.superuser,
        password=server.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


async def floor() -> list[float]:
    """Lags of bare sleeps: as many a second, at random moments, as the prober has slots."""
    begin = time.monotonic()
    moments = sorted(random.uniform(0, FLOOR_SECONDS) for _ in range(int((LIVE + FROZEN) / INTERVAL_SECONDS * FLOOR_SECONDS)))

    async def one(moment: float) -> float:
        await asyncio.sleep(begin + moment - time.monotonic())
        return time.monotonic() - begin - moment

    return list(await asyncio.gather(*(one(moment) for moment in moments)))


def quantile(values: list[float], ratio: float) -> float:
    return sorted(values)[min(int(len(values) * ratio), len(values) - 1)]


async def measure() -> dict[str, object]:
    bare = await floor()
    async with two_servers() as (live, frozen):
        clusters = [cluster(f"live-{n}", live) for n in range(LIVE)] + [cluster(f"frozen-{n}", frozen) for n in range(FROZEN)]
        clock = SystemClock()
        metrics = Lags(Exposition(clock))
        seen: list[ProbeObservation] = []
        prober = Prober(
            fleet=Fleet(clusters=tuple(clusters)),
            engines=Engines(),
            clock=clock,
            settings=ProbeDocument(),
            sink=seen.append,
            events=lambda *_: None,
            metrics=metrics,
        )
        task = asyncio.create_task(prober.run())
        await asyncio.sleep(WARM_UP_SECONDS)  # tables are made, connections opened
        await frozen.freeze()
        await asyncio.sleep(INTERVAL_SECONDS / 2)
        metrics.seconds.clear()
        seen.clear()
        begin, begin_cpu = clock.now(), time.process_time()
        await asyncio.sleep(MEASURED_SECONDS)
        cpu, end = time.process_time() - begin_cpu, clock.now()
        lags = list(metrics.seconds)
        await asyncio.sleep(4)  # the last slots end
        stopping = time.monotonic()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        stopped = time.monotonic() - stopping
        await frozen.thaw()
    slots = [one for one in seen if begin <= one.scheduled_at < end]
    return summary(bare, lags, slots, cpu_seconds=cpu, stop_seconds=stopped)


def summary(
    bare: list[float], lags: list[float], slots: list[ProbeObservation], *, cpu_seconds: float, stop_seconds: float
) -> dict[str, object]:
    outcomes = Counter((one.cluster.split("-")[0], str(one.outcome)) for one in slots)
    per_endpoint = Counter(one.cluster for one in slots)
    p99, floor_p99 = quantile(lags, 0.99), quantile(bare, 0.99)
    good = [one.latency_seconds for one in slots if one.latency_seconds is not None]
    expected = int(MEASURED_SECONDS / INTERVAL_SECONDS)
    is_ok = (
        p99 < LIMIT_SECONDS
        and set(outcomes) == {("live", str(Outcome.GOOD)), ("frozen", str(Outcome.BAD))}
        and len(per_endpoint) == LIVE + FROZEN
        and set(per_endpoint.values()) <= {expected}
    )
    return {
        "benchmark": "prober",
        "endpoints": LIVE + FROZEN,
        "frozen": FROZEN,
        "slots": len(slots),
        "slots_an_endpoint": sorted(set(per_endpoint.values())),
        "outcomes": {f"{kind} {outcome}": count for (kind, outcome), count in sorted(outcomes.items())},
        "lag_p50_seconds": round(quantile(lags, 0.5), 6),
        "lag_p99_seconds": round(p99, 6),
        "lag_max_seconds": round(max(lags), 6),
        "floor_p99_seconds": round(floor_p99, 6),
        "ratio_to_floor": round(p99 / floor_p99, 2),
        "limit_seconds": LIMIT_SECONDS,
        "good_latency_p99_seconds": round(quantile(good, 0.99), 6) if good else None,
        "cpu_ratio": round(cpu_seconds / MEASURED_SECONDS, 3),
        "stop_seconds": round(stop_seconds, 3),
        "is_ok": is_ok,
    }


def main() -> int:
    configure_logging("error", sys.stderr)
    result = asyncio.run(measure())
    for key, value in result.items():
        print(f"{key:28} {value}", file=sys.stderr)
    print(json.dumps(result))
    return 0 if result["is_ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
