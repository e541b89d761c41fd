"""Bytes that wait for their moment. What came first leaves first, whatever its moment: TCP never reorders."""

from collections import deque
from collections.abc import Callable

from dbre.capabilities.chaos.proxy.loop import Loop, Timer

__all__ = ["DelayFifo"]


class DelayFifo:
    """A queue with one timer. ``None`` stands for the end of the stream."""

    def __init__(self, loop: Loop, deliver: Callable[[bytes | None], None]) -> None:
        self._loop, self._deliver = loop, deliver
        self.waiting: deque[tuple[float, bytes | None]] = deque()  # to be read by others only
        self._timer: Timer | None = None

    @property
    def last_due(self) -> float:
        """When the last one leaves; 0 where none waits."""
        return self.waiting[-1][0] if self.waiting else 0.0

    def push(self, due: float, data: bytes | None) -> None:
        """Let it wait until ``due`` and until all before it have gone."""
        if not self.waiting and due <= self._loop.now:
            self._deliver(data)
            return
        self.waiting.append((max(due, self.last_due), data))
        if self._timer is None:
            self._set()

    def flush(self) -> None:
        """Nothing has to wait any more."""
        self._unset()
        while self.waiting:
            self._deliver(self.waiting.popleft()[1])

    def clear(self) -> int:
        """Throw everything away; how many bytes that were."""
        self._unset()
        count = sum(len(data) for _, data in self.waiting if data)
        self.waiting.clear()
        return count

    def _set(self) -> None:
        self._timer = self._loop.at(self.waiting[0][0], self._ring)

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        while self.waiting and self.waiting[0][0] <= self._loop.now:
            self._deliver(self.waiting.popleft()[1])
        if self.waiting and self._timer is None:
            self._set()
