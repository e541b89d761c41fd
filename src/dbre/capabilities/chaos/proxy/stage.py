"""What a toxic does to the bytes of one link."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from dbre.capabilities.chaos.proxy.fifo import DelayFifo
from dbre.capabilities.chaos.proxy.link import Link
from dbre.capabilities.chaos.proxy.loop import Timer

__all__ = ["STAGES", "Stage"]

_PIECES_A_TURN = 256
_SHORTEST_PAUSE = 0.02  # seconds between two pieces of a stream that is held down


class Stage:
    """Bytes come in by ``push`` and go on by ``following``; ``None`` is the end of the stream."""

    def __init__(self, link: Link, attributes: Mapping[str, Any], chance: Random, close: Callable[[], None]) -> None:
        self.link, self.attributes, self.chance = link, attributes, chance
        self.close = close  # ends the whole connection
        self.following: Callable[[bytes | None], None] = lambda _: None

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        self.following(data)

    def finish(self) -> None:
        """The toxic is gone: let go on what is held."""

    def stop(self) -> None:
        """The connection is gone: forget what is held."""


class _Delaying(Stage):
    """Holds bytes for a time."""

    def __init__(self, link: Link, attributes: Mapping[str, Any], chance: Random, close: Callable[[], None]) -> None:
        super().__init__(link, attributes, chance, close)
        self.fifo = DelayFifo(link.loop, lambda data: self.following(data))

    def finish(self) -> None:
        """Let go on what is held."""
        self.fifo.flush()

    def stop(self) -> None:
        """Forget what is held."""
        self.fifo.clear()


class Latency(_Delaying):
    """Every byte arrives so much later."""

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        jitter = self.attributes["jitter"]
        wait = self.attributes["latency"] + (self.chance.uniform(-jitter, jitter) if jitter else 0.0)
        self.fifo.push(time.monotonic() + max(wait, 0.0) / 1000, data)


class Bandwidth(_Delaying):
    """At most so many bytes a second."""

    _free = 0.0  # when the line is free again

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        rate = self.attributes["rate"] * 1000
        self._free = max(self._free, time.monotonic())
        if data is None:
            self.fifo.push(self._free, None)
            return
        size = max(int(rate * _SHORTEST_PAUSE), 1)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._free += len(piece) / rate
            self.fifo.push(self._free, piece)


class SlowClose(_Delaying):
    """The end is told later."""

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        self.fifo.push(0.0 if data is not None else time.monotonic() + self.attributes["delay"] / 1000, data)


class Slicer(Stage):
    """Small pieces, each sent for itself."""

    def __init__(self, link: Link, attributes: Mapping[str, Any], chance: Random, close: Callable[[], None]) -> None:
        super().__init__(link, attributes, chance, close)
        self._waiting: deque[bytes | None] = deque()
        self._at = 0
        self._timer: Timer | None = None

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        self._waiting.append(data)
        if self._timer is None:
            self._go()

    def finish(self) -> None:
        """Let go on what is held."""
        self._unset()
        while self._waiting:
            data = self._waiting.popleft()
            self.following(data if data is None else data[self._at :])
            self._at = 0

    def stop(self) -> None:
        """Forget what is held."""
        self._unset()
        self._waiting.clear()

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        self._timer = None
        pause = self.attributes["delay"] / 1e6
        for _ in range(1 if pause else _PIECES_A_TURN):
            if not self._waiting:
                return
            data = self._waiting[0]
            if data is None:
                self._waiting.popleft()
                self.following(None)
                continue
            size = self._size()
            piece, self._at = data[self._at : self._at + size], self._at + size
            if self._at >= len(data):
                self._waiting.popleft()
                self._at = 0
            self.following(piece)
        if self._waiting:
            self._timer = self.link.loop.after(pause, self._go)

    def _size(self) -> int:
        middle, more = self.attributes["average_size"], self.attributes["size_variation"]
        return max(int(middle + (self.chance.uniform(-more, more) if more else 0)), 1)


class Swallowing(Stage):
    """Nothing arrives any more; the connection closes after a time, or with the toxic."""

    def __init__(self, link: Link, attributes: Mapping[str, Any], chance: Random, close: Callable[[], None]) -> None:
        super().__init__(link, attributes, chance, close)
        wait = attributes["timeout"]
        self._timer = link.loop.after(wait / 1000, close) if wait else None

    def push(self, data: bytes | None) -> None:
        """Throw it away."""
        self.link.dropped(len(data or b""))

    def finish(self) -> None:
        """There are holes in the stream now, so it cannot go on."""
        self.link.loop.soon(self.close)

    def stop(self) -> None:
        """Forget the moment."""
        if self._timer is not None:
            self._timer.cancel()


class Resetting(Stage):
    """After a time the connection ends; ``close`` is a reset here."""

    def __init__(self, link: Link, attributes: Mapping[str, Any], chance: Random, close: Callable[[], None]) -> None:
        super().__init__(link, attributes, chance, close)
        self._timer = link.loop.after(attributes["timeout"] / 1000, close)

    def finish(self) -> None:
        """It was not to be."""
        self._timer.cancel()

    stop = finish


class LimitData(Stage):
    """The connection closes after so many bytes."""

    _left: float | None = None

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        left = self.attributes["bytes"] if self._left is None else self._left
        if data is None:
            self.following(None)
            return
        passing = data[: int(left)]
        self._left = left - len(passing)
        self.link.dropped(len(data) - len(passing))
        self.following(passing)
        if not self._left:
            self.link.ends_all = True
            self.following(None)


class Corrupt(Stage):
    """One bit of a byte is wrong, every so many bytes on average, wherever the bytes were cut."""

    _until: int | None = None

    def push(self, data: bytes | None) -> None:
        """Take bytes in."""
        if data is None:
            self.following(None)
            return
        if self._until is None:
            self._until = self._draw()
        if self._until < len(data):
            wrong = bytearray(data)
            while self._until < len(data):
                wrong[self._until] ^= 1 << self.chance.randrange(8)
                self._until += 1 + self._draw()
            data = bytes(wrong)
        self._until -= len(data)
        self.following(data)

    def _draw(self) -> int:
        return int(self.chance.expovariate(1 / self.attributes["every"]))


STAGES: Mapping[str, type[Stage]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "slicer": Slicer,
    "timeout": Swallowing,
    "reset_peer": Resetting,
    "limit_data": LimitData,
    "corrupt": Corrupt,
}
