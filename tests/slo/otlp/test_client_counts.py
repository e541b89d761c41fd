"""From the application to the budget: the client, the real intake behind HTTP, the engine."""

import asyncio
import contextlib
import socket
from pathlib import Path

import uvicorn
from slo_kit import World, definition

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.ingest.asgi import ingest_app
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.client import Reporter
from dbre.core.clock import SystemClock
from dbre.core.store import open_store


async def _admit(token: str) -> str | None:
    return "shop" if token == "secret" else None


async def test_the_events_of_an_application_reach_its_budget_once(tmp_path: Path):
    definitions = (
        definition("checkout", sli=Sli(kind=SliKind.AVAILABILITY, source=EventSource())),
        definition(
            "shop", sli=Sli(kind=SliKind.LATENCY, limit_ms=100, source=EventSource(match=(("db.namespace", ("shop",)),)))
        ),
    )
    clock = SystemClock()
    async with open_store(f"sqlite:///{tmp_path}/dbre.db", clock=clock, migrate=True) as store:
        one = World(store, clock=clock, definitions=definitions)
        await one.engine.tick()
        matcher = Matcher(definitions, one.fleet)
        latencies = LatencyStore(store, clock, max_groups=matcher.max_groups)
        intake = Intake(tmp_path / "log", matcher=matcher, sink=one.engine, latencies=latencies, clock=clock)
        server = uvicorn.Server(uvicorn.Config(ingest_app(intake, _admit), lifespan="off", log_level="warning"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            tasks = [asyncio.ensure_future(intake.run()), asyncio.ensure_future(server.serve(sockets=[listener]))]
            try:
                async with asyncio.timeout(60):
                    await intake.wait_until_ready()
                await asyncio.to_thread(_tell, f"http://127.0.0.1:{listener.getsockname()[1]}")
                checkout, shop = (await one.status("checkout")).counts, (await one.status("shop")).counts
            finally:
                server.should_exit = True
                await asyncio.wait({tasks[1]}, timeout=60)
                tasks[0].cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await tasks[0]
    assert checkout == Counts(good=2_500, bad=1, excluded=1)
    assert shop == Counts(good=1, bad=1)


def _tell(url: str) -> None:
    reporter = Reporter(url, token="secret", interval_seconds=0.02, batch_events=1_000)
    for _ in range(2_500):
        reporter.record(True, slo="checkout@orders")
    reporter.record_error(TimeoutError(), slo="checkout@orders")
    reporter.record_error(ValueError(), slo="checkout@orders")
    for seconds in (0.05, 0.5):
        reporter.record(True, duration_seconds=seconds, attributes={"db.namespace": "shop"})
    assert reporter.close(60), reporter.counts.last_problem
    assert reporter.counts.sent == 2_504
