"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

__all__ = ["FakeClock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A ``Clock`` moved by hand. Wall and monotonic time go together with ``advance`` and apart with the ``step_*`` methods.

    Sleepers wait for monotonic time, as real ones do: a step of the wall clock wakes nobody.
    """

    def __init__(self, start: datetime = _START, *, monotonic: float = 1000.0) -> None:
        self._now = start.astimezone(UTC)
        self._monotonic = monotonic
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has moved monotonic time by ``seconds``; 0 or less only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    @property
    def sleepers(self) -> int:
        """How many tasks wait in ``sleep`` now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float, *, turns: int = 20) -> None:
        """Let ``seconds`` pass on both clocks; every sleeper on the way wakes at its own moment, in order.

        After each waking the event loop gets ``turns`` turns, so that periodic tasks go to sleep again in time. Work that
        waits for the outside world is not waited for.
        """
        await _settle(turns)
        end = self._monotonic + seconds
        while (due := self._next_deadline()) is not None and due <= end:
            self._pass_to(due)
            self._wake()
            await _settle(turns)
        self._pass_to(end)
        await _settle(turns)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative, as an administrator or NTP does."""
        self._now += timedelta(seconds=seconds)

    def step_monotonic(self, seconds: float) -> None:
        """Move monotonic time alone, as when the machine was suspended under a wall clock that stood; wakes due sleepers."""
        if seconds < 0:
            raise ValueError("monotonic time does not go back")
        self._monotonic += seconds
        self._wake()

    def _pass_to(self, moment: float) -> None:
        if moment > self._monotonic:
            self._now += timedelta(seconds=moment - self._monotonic)
            self._monotonic = moment

    def _next_deadline(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake(self) -> None:
        while (due := self._next_deadline()) is not None and due <= self._monotonic:
            heapq.heappop(self._sleepers)[2].set_result(None)


async def _settle(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
