"""Time as a value that is handed in, so that tests can move it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Wall clock, monotonic clock and sleep: the only three ways in which dbre asks for time."""

    def now(self) -> datetime:
        """The wall clock in UTC; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never steps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of monotonic time; 0 or less only yields."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The wall clock in UTC; may step."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never steps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of monotonic time; 0 or less only yields."""
        await asyncio.sleep(max(seconds, 0))
