"""A process that takes events in on a port until it is killed: real engine, store, log and HTTP server."""

import asyncio
import socket
import sys
from datetime import timedelta
from pathlib import Path

import uvicorn
from ingest_kit import DEFINITIONS, FLEET

from dbre.capabilities.slo.engine import SloEngine
from dbre.capabilities.slo.ingest.asgi import ingest_app
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.limits import IntakeLimits
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.store import open_store


async def admit(token: str) -> str:
    return token


async def main(directory: Path, port: int) -> None:
    clock, known = SystemClock(), Matcher(DEFINITIONS, FLEET)
    async with open_store(f"sqlite:///{directory}/dbre.db", clock=clock, exclusive=True, migrate=True) as store:
        engine = SloEngine(
            store, DEFINITIONS, fleet=FLEET, probe_interval=timedelta(seconds=10), clock=clock, events=EventLog(clock)
        )
        latencies = LatencyStore(store, clock, max_groups=known.max_groups)
        limits = IntakeLimits(segment_bytes=20_000)
        intake = Intake(directory / "ingest", matcher=known, sink=engine, latencies=latencies, clock=clock, limits=limits)
        app = ingest_app(intake, admit)
        config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False)  # type: ignore[arg-type]
        listener = socket.create_server(("127.0.0.1", port))
        tasks = [asyncio.ensure_future(one) for one in (engine.run(), intake.run())]
        await intake.wait_until_ready()
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await asyncio.gather(uvicorn.Server(config).serve(sockets=[listener]), *tasks)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
