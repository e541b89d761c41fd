"""How punctual the prober is: 500 endpoints at 10 s in one process, 50 of them on a frozen server.

Lag is the time from the scheduled moment of a slot to the moment at which its probe begins. The floor, measured just before in
the same process: the lag of as many bare ``asyncio.sleep`` per second. Passes if p99 < 100 ms, every frozen slot is bad, no
other one is, and every slot that was due has exactly one observation.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from kit.report import report
from kit.two_servers import fleet_on, quantile, two_servers

from dbre.app import Engines
from dbre.capabilities.observe import Exposition, ProbeDocument, ProbeMetrics, Prober
from dbre.core.clock import SystemClock
from dbre.core.telemetry import configure_logging
from dbre.ports.probe import Outcome, ProbeObservation

LIVE, FROZEN, INTERVAL_SECONDS, WARM_UP_SECONDS, MEASURED_SECONDS, FLOOR_SECONDS = 450, 50, 10.0, 12.0, 20.0, 5.0
LIMIT_SECONDS = 0.100
SETTINGS = {"max_connections": str(LIVE + 50), "shared_buffers": "64MB"}


class Lags(ProbeMetrics):
    """Keeps every lag instead of a histogram only."""

    def __init__(self, exposition: Exposition) -> None:
        super().__init__(exposition)
        self.seconds: list[float] = []

    def record_lag(self, seconds: float) -> None:
        super().record_lag(seconds)
        self.seconds.append(seconds)


async def floor() -> list[float]:
    """Lags of bare sleeps: as many a second, at random moments, as the prober has slots."""
    begin = time.monotonic()
    moments = sorted(random.uniform(0, FLOOR_SECONDS) for _ in range(int((LIVE + FROZEN) / INTERVAL_SECONDS * FLOOR_SECONDS)))

    async def one(moment: float) -> float:
        await asyncio.sleep(begin + moment - time.monotonic())
        return time.monotonic() - begin - moment

    return list(await asyncio.gather(*(one(moment) for moment in moments)))


async def measure() -> dict[str, object]:
    bare = await floor()
    async with two_servers(SETTINGS) as (live, frozen):
        clock = SystemClock()
        metrics = Lags(Exposition(clock))
        seen: list[ProbeObservation] = []
        prober = Prober(
            fleet=fleet_on({live: LIVE, frozen: FROZEN}),
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
        cpu = time.process_time() - begin_cpu
        end = begin + timedelta(seconds=MEASURED_SECONDS)  # not now: a sleep that was late by a moment would count slots twice
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
    return report(asyncio.run(measure()))


if __name__ == "__main__":
    sys.exit(main())
