"""Brings histograms from memory into the state store, exactly once by the numbers of their records in the log."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from dbre.capabilities.slo.definition import OTHER_GROUP
from dbre.capabilities.slo.ingest.aggregation import LatencyPart
from dbre.capabilities.slo.ingest.histogram import LatencyHistogram
from dbre.capabilities.slo.ingest.latency_repository import (
    LatencyKey,
    forget_latencies,
    read_mark,
    roll_up_oldest_hour,
    write_latencies,
    write_mark,
)
from dbre.core.clock import Clock
from dbre.core.store import Store

__all__ = ["SOURCE", "LatencyStore"]

SOURCE = "ingest/0/latencies"
"""The mark of the histograms in the store, as that of the counts."""
_FLUSH_SECONDS = 5.0
_TIDY_SECONDS = 60.0
_MINUTES_KEPT = 2 * 24 * 60  # of single minutes; then hours
_DAYS_KEPT = 400
_MAX_PENDING = 50_000  # histograms in memory: groups beyond that are counted together


class LatencyStore:
    """What the log hands over waits here for up to 5 s, and is written together with how far it goes (``LatencySink``)."""

    def __init__(self, store: Store, clock: Clock, *, max_groups: Callable[[str], int], source: str = SOURCE) -> None:
        self._store = store
        self._clock = clock
        self._max_groups = max_groups
        self._source = source  # of the mark
        self._groups: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._pending: dict[LatencyKey, LatencyHistogram] = {}
        self._position = ""  # of what is pending
        self._batch: dict[LatencyKey, LatencyHistogram] = {}  # fixed until it is known to be stored
        self._batch_position = ""
        self._stored = ""
        self._next_flush = self._next_tidy = clock.monotonic()

    def take(self, parts: Sequence[LatencyPart], *, epoch: bytes, number: int) -> None:
        """Add histograms; does no I/O."""
        for one in parts:
            key = one.slo, one.cluster, self._group(one.slo, one.cluster, one.group), one.minute
            if key not in self._pending and len(self._pending) >= _MAX_PENDING and one.group:
                key = one.slo, one.cluster, OTHER_GROUP, one.minute
            found = self._pending.get(key)
            if found is None:
                found = self._pending[key] = LatencyHistogram()
            found.merge(one.histogram)
        self._position = f"{epoch.hex()}:{number}"

    def stored_number(self, epoch: bytes) -> int:
        """Up to which record of that log the store has the histograms; 0: none."""
        stored, _, number = self._stored.partition(":")
        return int(number) if number and stored == epoch.hex() else 0

    async def start(self) -> None:
        """Load how far the store is. Raises: StoreError."""
        async with self._store.read() as connection:
            self._stored = await read_mark(connection, self._source) or ""

    async def tick(self) -> None:
        """Every 5 s, write what is pending; every minute, make an old hour smaller. Raises: StoreError."""
        if self._clock.monotonic() >= self._next_flush:
            self._next_flush = self._clock.monotonic() + _FLUSH_SECONDS
            await self.finish()
        if self._clock.monotonic() >= self._next_tidy:
            self._next_tidy = self._clock.monotonic() + _TIDY_SECONDS
            await self._tidy()

    async def finish(self) -> None:
        """Write all that is pending now. Raises: StoreError; the next call goes on.

        What comes while it writes waits for the next call: under steady traffic there is always something.
        """
        if self._batch_position:
            await self._write()
        if self._next_batch():
            await self._write()

    async def _write(self) -> None:
        async with self._store.begin() as connection:
            # A commit whose answer was lost may have taken place: then the mark is there.
            if await read_mark(connection, self._source) != self._batch_position:
                await write_latencies(connection, self._store, self._batch)
                await write_mark(connection, self._store, self._source, self._batch_position, now=self._clock.now())
        self._stored, self._batch, self._batch_position = self._batch_position, {}, ""

    def _next_batch(self) -> bool:
        self._batch, self._pending = self._pending, {}
        self._batch_position, self._position = self._position, ""
        return bool(self._batch_position)

    async def _tidy(self) -> None:
        minute = _minute_of(self._clock.now())
        async with self._store.begin() as connection:
            await roll_up_oldest_hour(connection, self._store, before_minute=minute - _MINUTES_KEPT)
            await forget_latencies(connection, before_minute=minute - _DAYS_KEPT * 24 * 60)

    def _group(self, slo: str, cluster: str, group: str) -> str:
        known = self._groups[slo, cluster]
        if group in known or not group:
            return group
        if len(known) >= self._max_groups(slo):
            return OTHER_GROUP
        known.add(group)
        return group


def _minute_of(moment: datetime) -> int:
    return int(moment.timestamp()) // 60
