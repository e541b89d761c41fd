"""Reads all configured streams for as long as the process runs; a server that is away is tried again."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from dbre.capabilities.slo.counting import CountSink
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.streams.counter import StreamCounter
from dbre.capabilities.slo.ingest.streams.documents import KafkaDocument, NatsDocument
from dbre.capabilities.slo.ingest.streams.kafka_source import KafkaSource
from dbre.capabilities.slo.ingest.streams.nats_source import NatsSource
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.text import printable

__all__ = ["StreamReading", "StreamSource", "stream_reading"]

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
_LAST_SECONDS = 5.0  # a shutdown waits no longer than this for the store

_log = structlog.get_logger(__name__)


class StreamSource(Protocol):
    """One stream."""

    poisoned: int  # messages that could not be read
    is_connected: bool

    @property
    def counters(self) -> list[StreamCounter]:
        """What was read so far."""
        ...

    async def read(self) -> None:
        """Read until the connection ends, which is an error."""
        ...


class StreamReading:
    """One source, read again and again."""

    def __init__(self, name: str, source: StreamSource, clock: Clock) -> None:
        self.name = name
        self.source = source
        self._problem = "not connected yet"
        self._clock = clock

    @property
    def problem(self) -> str | None:
        """Why nothing is read; None while it is."""
        return None if self.source.is_connected else self._problem

    @property
    def events(self) -> int:
        """Events that were counted since the start."""
        return sum(one.events for one in self.source.counters)

    async def run(self) -> None:
        """Read until cancelled. Raises: ControlPlaneLockLost, Unsupported where the library is missing."""
        wait = _FIRST_WAIT_SECONDS
        try:
            while True:
                before = self.events
                try:
                    await self.source.read()
                except ControlPlaneLockLost:
                    raise
                except DbreError as error:
                    self._note(error)
                wait = _FIRST_WAIT_SECONDS if self.events > before else min(wait * 2, _LONGEST_WAIT_SECONDS)
                await self._clock.sleep(wait)
        finally:
            await self._finish()

    def _note(self, error: DbreError) -> None:
        text = printable(error.message, limit=400)
        if text != self._problem:
            _log.warning("stream_not_read", stream=self.name, problem=text, hint=error.hint)
        self._problem = text

    async def _finish(self) -> None:
        with suppress(TimeoutError, DbreError):  # what is not stored now is read again by the next process
            async with asyncio.timeout(_LAST_SECONDS):
                for counter in self.source.counters:
                    await counter.finish()


def stream_reading(
    documents: Sequence[NatsDocument | KafkaDocument], *, intake: Intake, sink: CountSink, store: Store, clock: Clock
) -> list[StreamReading]:
    """One reading for each configured stream."""

    def make_counter(source: str) -> StreamCounter:
        latencies = LatencyStore(store, clock, max_groups=intake.matcher.max_groups, source=f"{source}/latencies")
        return StreamCounter(source, intake=intake, sink=sink, latencies=latencies)

    return [
        StreamReading(
            one.name,
            NatsSource(one, make_counter) if isinstance(one, NatsDocument) else KafkaSource(one, make_counter),
            clock,
        )
        for one in documents
    ]
