"""A process that runs a real engine on a store until it is killed: good probes, then an outage that never ends."""

import asyncio
import sys
from datetime import timedelta

from slo_kit import FLEET, definition

from dbre.capabilities.slo.documents import AlertingDocument
from dbre.capabilities.slo.engine import SloEngine
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import EndpointPurpose
from dbre.core.secrets import Secret
from dbre.core.store import open_store
from dbre.ports.probe import Outcome, ProbeObservation


async def main(url: str, password: str, good: int) -> None:
    clock = SystemClock()
    async with open_store(
        url, clock=clock, password=Secret(password) if password else None, exclusive=True, migrate=True
    ) as store:
        engine = SloEngine(
            store,
            (definition(),),
            fleet=FLEET,
            probe_interval=timedelta(seconds=10),
            clock=clock,
            events=EventLog(clock),
            alerting=AlertingDocument(evaluation_interval=timedelta(milliseconds=200)),
        )
        now = clock.now()

        def observe(outcome: Outcome, ago: int) -> None:
            engine.record(
                ProbeObservation(
                    cluster="orders",
                    purpose=EndpointPurpose.WRITE,
                    scheduled_at=now - timedelta(seconds=ago * 10),
                    interval_seconds=10,
                    outcome=outcome,
                    latency_seconds=None,
                )
            )

        for index in range(good):
            observe(Outcome.GOOD, 20 + index)
        for index in range(20 if good else 0):
            observe(Outcome.BAD, index)
        running = asyncio.ensure_future(engine.run())
        while not any(status.active_alerts for status in await engine.status()):
            await asyncio.wait([running], timeout=0.02)
        print("firing", flush=True)  # noqa: T201
        while True:
            observe(Outcome.BAD, 0)
            await asyncio.sleep(0.05)
            if running.done():
                await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
