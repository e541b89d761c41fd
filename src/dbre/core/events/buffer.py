"""Events of code that may not wait for the store: kept in memory until they are written, in order."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events.log import EventLog
from dbre.core.events.model import Draft
from dbre.core.store import Store

__all__ = ["EventBuffer"]

_CAPACITY = 10_000
_RETRY_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class EventBuffer:
    """``put`` never waits; ``run`` writes.

    An event bears the moment at which it was put, and is in the store once, whatever happened to the store in between.
    While the store is down, the oldest beyond 10,000 are dropped, and their number is logged.
    """

    def __init__(self, store: Store, events: EventLog, clock: Clock) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._waiting: deque[Draft] = deque()
        self._arrived = asyncio.Event()
        self._dropped = 0

    @property
    def waiting_count(self) -> int:
        """Events that are only in memory."""
        return len(self._waiting)

    @property
    def dropped_count(self) -> int:
        """Events given up because the store was away for too long."""
        return self._dropped

    def put(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Take one event. Raises: ValueError where ``kind`` is not dotted lower-case words."""
        draft = self._events.draft(kind, subject, data)
        if len(self._waiting) >= _CAPACITY:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(draft)
        self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled; what is still waiting then is written first, once."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    try:
                        await self._write()
                    except StoreError as error:
                        _log.warning(
                            "events_wait_for_the_store", waiting=len(self._waiting), dropped=self._dropped, error=error.message
                        )
                        await self._clock.sleep(_RETRY_SECONDS)
        finally:
            await self.write_waiting()

    async def _write(self) -> None:
        batch = list(self._waiting)
        self._waiting.clear()
        try:
            async with self._store.begin() as connection:
                await self._events.write(connection, batch)
        except BaseException:
            self._waiting.extendleft(reversed(batch))
            raise

    async def write_waiting(self) -> None:
        """Write what is waiting, once; what the store does not take is lost, and the log says so."""
        if not self._waiting:
            return
        try:
            await self._write()
        except StoreError as error:
            _log.error("events_lost", count=len(self._waiting), error=error.message)
