"""From a span to the budget, through the real intake and engine."""

import asyncio
import contextlib
from pathlib import Path

import httpx
from otlp_kit import SECOND, histogram, metrics, traces
from slo_kit import START, World, definition

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.ingest.otlp import OtlpReceiver, otlp_app
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.core.store import Store

NOW = int(START.timestamp()) * SECOND
BY_SPANS = EventSource(match=(("db.namespace", ("shop",)),))
BY_POINTS = EventSource(match=(("metric.name", ("db.client.operation.duration",)),))
DEFINITIONS = (
    definition("spans", sli=Sli(kind=SliKind.AVAILABILITY, source=BY_SPANS)),
    definition("fast-spans", sli=Sli(kind=SliKind.LATENCY, limit_ms=10, source=BY_SPANS)),
    definition("points", sli=Sli(kind=SliKind.AVAILABILITY, source=BY_POINTS)),
    definition("fast-points", sli=Sli(kind=SliKind.LATENCY, limit_ms=10, source=BY_POINTS)),
)
HEADERS = {"Authorization": "Bearer t", "Content-Type": "application/x-protobuf"}


async def _admit(_: str) -> str | None:
    return "shop"


async def test_spans_and_points_reach_the_budgets_they_are_asked_for_by(sqlite_store: Store, tmp_path: Path):
    one = World(sqlite_store, definitions=DEFINITIONS)
    await one.engine.tick()
    matcher = Matcher(one.definitions, one.fleet)
    latencies = LatencyStore(sqlite_store, one.clock, max_groups=matcher.max_groups)
    intake = Intake(tmp_path, matcher=matcher, sink=one.engine, latencies=latencies, clock=one.clock)
    app = otlp_app(OtlpReceiver(intake, names_wanted=lambda: matcher.attribute_names, clock=one.clock), _admit)
    running = asyncio.ensure_future(intake.run())
    try:
        async with asyncio.timeout(60):
            await intake.wait_until_ready()
        shop = {"db.system.name": "postgresql", "db.namespace": "shop"}
        request = traces(
            {"attributes": shop, "ms": 5},
            {"attributes": shop, "ms": 50},
            {"attributes": {**shop, "db.response.status_code": "53300"}, "failed": True},
            {"attributes": {**shop, "db.response.status_code": "23505"}, "failed": True},
        )
        for span in request.resource_spans[0].scope_spans[0].spans:
            length = span.end_time_unix_nano - span.start_time_unix_nano
            span.end_time_unix_nano, span.start_time_unix_nano = NOW, NOW - length
        points = metrics(histogram([7, 2, 1, 0], [0.001, 0.01, 0.1], start=NOW - SECOND, at=NOW, **{"db.namespace": "shop"}))
        old = metrics(histogram([5, 0, 0, 0], [0.001, 0.01, 0.1], start=SECOND, at=2 * SECOND))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dbre") as client:
            for path, sent in (("traces", request), ("metrics", points), ("traces", request), ("metrics", points)):
                answer = await client.post(f"/v1/{path}", headers=HEADERS, content=sent.SerializeToString())
                assert (answer.status_code, answer.content) == (200, b"")
            answer = await client.post("/v1/metrics", headers=HEADERS, content=old.SerializeToString())
            assert b"too old" in answer.content
        counted = {name: (await one.status(name)).counts for name in ("spans", "fast-spans", "points", "fast-points")}
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert counted == {
        "spans": Counts(good=2, bad=1, excluded=1),
        "fast-spans": Counts(good=1, bad=2, excluded=1),
        "points": Counts(good=10),
        "fast-points": Counts(good=9, bad=1),
    }
