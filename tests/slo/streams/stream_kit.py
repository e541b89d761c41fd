"""A control plane's part that reads streams, on a real store; and what applications put into a stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from slo_kit import START, World, definition

from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.ingest.streams.documents import KafkaDocument, NatsDocument
from dbre.capabilities.slo.ingest.streams.reading import StreamReading, stream_reading
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.core.clock import SystemClock
from dbre.core.store import Store

START_MS = int(START.timestamp() * 1000)
REQUESTS = Sli(kind=SliKind.AVAILABILITY, source=EventSource())


def body(good: int, bad: int = 0) -> bytes:
    rows = [{"ts": START_MS + index, "slo": "checkout@orders", "good": index < good, "ms": 5} for index in range(good + bad)]
    return json.dumps(rows).encode()


def world(store: Store) -> World:
    return World(store, definitions=(definition("checkout", sli=REQUESTS),))


@asynccontextmanager
async def reading(one: World, document: NatsDocument | KafkaDocument, directory: Path) -> AsyncIterator[StreamReading]:
    """Reads until the block ends; then it dies: nothing more is stored."""
    await one.engine.tick()
    matcher = Matcher(one.definitions, one.fleet)
    latencies = LatencyStore(one.store, one.clock, max_groups=matcher.max_groups)
    intake = Intake(directory, matcher=matcher, sink=one.engine, latencies=latencies, clock=one.clock)
    (found,) = stream_reading([document], intake=intake, sink=one.engine, store=one.store, clock=one.clock)
    found._clock = SystemClock()  # waits between attempts; what is counted goes by the clock of the world
    found._finish = _die
    running = asyncio.ensure_future(found.run())
    try:
        yield found
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _die() -> None:
    """A process that is killed stores nothing."""


async def until(condition: Callable[[], bool], found: StreamReading) -> None:
    for _ in range(6_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within 60 s; the stream says: {found.problem}")


def done(found: StreamReading) -> int:
    return sum(one.done for one in found.source.counters)


async def store_all(one: World, found: StreamReading) -> None:
    await one.engine.tick()
    for counter in found.source.counters:
        await counter.finish()
