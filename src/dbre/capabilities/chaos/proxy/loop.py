"""One thread that waits for sockets and for moments: epoll and a heap of timers, nothing else.

Why not asyncio: a proxy that copies by splice(2) needs readiness and nothing more, and each layer between the kernel and the
copy costs more than the copy itself (docs/benchmarks.md). Changes from the API are made by the same thread, between two events,
and so they are atomic for all connections.
"""

import heapq
import os
import select
import time
from collections.abc import Callable
from itertools import count

__all__ = ["Loop", "Timer"]

_MOST_EVENTS = 256
_COMPACT_AFTER = 4096  # cancelled timers that are tolerated in the heap
_NEAR_SECONDS = 0.01
READ = select.EPOLLIN
EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Timer:
    """Something to be done at a moment; it can be called off."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it; twice does no harm."""
        self.action = None


class Loop:
    """Waits, and calls back; ``now`` is the monotonic moment of the present round."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._soon: list[Callable[[], None]] = []
        self._numbers = count()
        self._is_stopping = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # Python goes on to wait after a signal's handler
        self.watch(self._bell, READ, lambda _: self._hear())

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` with the events of ``fd``. Raises: OSError."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Wait for it no more; must be called before the file is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something later."""
        return self.at(time.monotonic() + seconds, action)

    def at(self, due: float, action: Callable[[], None]) -> Timer:
        """Do something at a monotonic moment."""
        timer = Timer(due, action)
        heapq.heappush(self._timers, (due, next(self._numbers), timer))
        return timer

    def soon(self, action: Callable[[], None]) -> None:
        """Do something in the next round, after others had their turn."""
        self._soon.append(action)

    def stop(self) -> None:
        """End ``run`` after the present round; may be called by a signal handler or another thread."""
        self._is_stopping = True
        os.eventfd_write(self._bell, 1)

    def run(self) -> None:
        """Go round until told to stop."""
        self._is_stopping = False
        while not self._is_stopping:
            self.turn(1.0)

    def turn(self, longest_seconds: float) -> None:
        """Wait once, at most so long, and do what is due."""
        callbacks = self._callbacks
        for fd, events in self._wait(self._pause(longest_seconds)):
            callback = callbacks.get(fd)  # None: an earlier event of this round closed it
            if callback is not None:
                callback(events)
        self._run_timers()
        if self._soon:
            soon, self._soon = self._soon, []
            for action in soon:
                action()

    def close(self) -> None:
        """Give the files back."""
        self.forget(self._bell)
        os.close(self._bell)
        self._epoll.close()

    def _hear(self) -> None:
        os.eventfd_read(self._bell)

    def _wait(self, seconds: float) -> list[tuple[int, int]]:
        """epoll counts in whole milliseconds and rounds up; for a moment that is near, select(2) waits for it more exactly."""
        if 0.0 < seconds < _NEAR_SECONDS:
            select.select((self._epoll,), (), (), seconds)
            seconds = 0.0
        return self._epoll.poll(seconds - _NEAR_SECONDS / 2 if seconds else 0.0, _MOST_EVENTS)

    def _pause(self, longest_seconds: float) -> float:
        if self._soon:
            return 0.0
        if not self._timers:
            return longest_seconds
        return min(max(self._timers[0][0] - time.monotonic(), 0.0), longest_seconds)

    def _run_timers(self) -> None:
        now = self.now = time.monotonic()
        timers = self._timers
        while timers and timers[0][0] <= now:
            action = heapq.heappop(timers)[2].action
            if action is not None:
                action()
        if len(timers) > _COMPACT_AFTER and sum(one[2].action is None for one in timers[:_COMPACT_AFTER]) > _COMPACT_AFTER // 2:
            self._timers = [one for one in timers if one[2].action is not None]
            heapq.heapify(self._timers)
