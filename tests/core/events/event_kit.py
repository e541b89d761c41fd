"""A receiver that writes down what it gets, and the way to wait for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from dbre.core.clock import SystemClock
from dbre.core.events import Backoff, Event, EventDelivery, EventLog, Subscription, deliveries
from dbre.core.store import Store

CLOCK = SystemClock()
AT_ONCE = Backoff(base_seconds=0.001, cap_seconds=0.001, max_attempts=1000)
LIMIT_SECONDS = 20.0


class Receiver:
    """Writes down what it gets; fails as long as it is told to."""

    def __init__(self, *, failures: int = 0, error: Exception | None = None, seconds: float = 0) -> None:
        self.got: list[Event] = []
        self.calls = 0
        self._failures = failures
        self._error = error or ConnectionError("receiver is down")
        self._seconds = seconds

    async def __call__(self, event: Event) -> None:
        self.calls += 1
        await asyncio.sleep(self._seconds)
        if self.calls <= self._failures:
            raise self._error
        self.got.append(event)

    @property
    def subjects(self) -> list[str]:
        return [one.subject for one in self.got]


async def emit(store: Store, *subjects: str, kind: str = "test.happened", data: dict[str, Any] | None = None) -> list[Event]:
    async with store.begin() as connection:
        return [await EventLog(CLOCK).emit(connection, kind=kind, subject=one, data=data or {}) for one in subjects]


@contextlib.asynccontextmanager
async def delivering(store: Store, *wanted: Subscription, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(EventDelivery(store, wanted, options.pop("clock", CLOCK), **options).run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def states(store: Store) -> dict[tuple[str, str], str]:
    async with store.read() as connection:
        found = await deliveries(connection, 1000)
    return {(one.subscription, one.event.subject): str(one.state) for one in found}
