"""Work in threads that can be told to end, that keeps to a rate, and that tells how far it has come."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from dbre.ports.backup.engine import CopyProgress

__all__ = ["Flow", "FlowEnded", "in_thread"]

_Answer = TypeVar("_Answer")
_TELL_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 0.2  # so that an end is noticed soon


class FlowEnded(BaseException):
    """Whoever waited for this work waits no longer; nothing may catch it on the way."""


class Flow:
    """One piece of work: its end, its rate, its progress. Made in the event loop, used by threads."""

    def __init__(
        self, *, bytes_per_second: int | None = None, progress: CopyProgress | None = None, total: int | None = None
    ) -> None:
        self.total = total
        self._loop = asyncio.get_running_loop()
        self._rate = bytes_per_second
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._told_at = -1.0
        self._due_at = time.monotonic()

    def end(self) -> None:
        """Let every thread of this flow end at its next step."""
        self._ended.set()

    def check(self) -> None:
        """Raises: FlowEnded."""
        if self._ended.is_set():
            raise FlowEnded

    def pace(self, count: int) -> None:
        """Wait as long as ``count`` bytes may take. Raises: FlowEnded."""
        self.check()
        if self._rate is None:
            return
        with self._lock:
            self._due_at = max(self._due_at, time.monotonic() - 1.0) + count / self._rate
            due = self._due_at
        while (left := due - time.monotonic()) > 0:
            self._ended.wait(min(left, _LONGEST_WAIT_SECONDS))
            self.check()

    def passed(self, count: int) -> None:
        """Note progress; whoever listens is told now and then, and what he raises ends the work. Raises: FlowEnded."""
        self.check()
        now = time.monotonic()
        with self._lock:
            self._done += count
            done, is_due = self._done, now - self._told_at >= _TELL_SECONDS
            if is_due:
                self._told_at = now
        if is_due:
            self.tell(done)

    def tell(self, done: int | None = None) -> None:
        """Tell whoever listens."""
        if self._progress is not None:
            told = self._progress(self._done if done is None else done, self.total)
            asyncio.run_coroutine_threadsafe(_awaited(told), self._loop).result()


async def _awaited(one: object) -> None:
    await one  # type: ignore[misc]


async def in_thread(flow: Flow, work: Callable[[], _Answer]) -> _Answer:
    """Run ``work`` in a thread; a cancellation ends the flow and returns only when the thread has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        flow.end()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: it is only that the flow ended
        raise
