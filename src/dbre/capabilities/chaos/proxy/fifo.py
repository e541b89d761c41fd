"""Bytes that wait for their moment. What came first leaves first, whatever its moment: TCP never reorders."""

from collections import deque
from collections.abc import Callable

from dbre.capabilities.chaos.proxy.loop import Loop, Timer

__all__ = ["DelayFifo"]


class DelayFifo:
    """A queue with one timer. ``None`` stands for the end of the stream."""

    def __init__(self, loop: Loop, deliver: Callable[[bytes | None], None]) -> None:
        self._loop, self._deliver = loop, deliver
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def last_due(self) -> float:
        """When the last one leaves; 0 where none waits."""
        return self._waiting[-1][0] if self._waiting else 0.0

    def push(self, due: float, data: bytes | None) -> None:
        """Let it wait until ``due`` and until all before it have gone."""
        if not self._waiting and due <= self._loop.now:
            self._deliver(data)
            return
        self._waiting.append((max(due, self.last_due), data))
        if self._timer is None:
            self._set()

    def flush(self) -> None:
        """Nothing has to wait any more."""
        self._unset()
        while self._waiting:
            self._deliver(self._waiting.popleft()[1])

    def clear(self) -> int:
        """Throw everything away; how many bytes that were."""
        self._unset()
        count = sum(len(data) for _, data in self._waiting if data)
        self._waiting.clear()
        return count

    def _set(self) -> None:
        self._timer = self._loop.at(self._waiting[0][0], self._ring)

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= self._loop.now:
            self._deliver(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._set()
