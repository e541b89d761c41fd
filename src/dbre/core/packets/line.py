"""A line that is slow on purpose, as pure rules: which packet leaves when, and which never does."""

import heapq
import random
from dataclasses import dataclass

__all__ = ["Line", "Shape"]

_MOST_PACKETS = 20_000
_LONGEST_QUEUE_SECONDS = 1.0  # of a line that is too narrow: what comes later is lost, and TCP learns from that


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How slow, and how unreliable."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0  # so much more or less, evenly spread; packets keep their order
    loss_percent: float = 0.0
    reorder_percent: float = 0.0  # so many do not wait, and overtake those that do
    bytes_per_second: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether each packet has to be seen as it goes over a wire, not many joined into one."""
        return self.loss_percent > 0 or self.reorder_percent > 0 or self.bytes_per_second is not None


class Line:
    """Packets on their way. Moments are seconds of a clock that never jumps."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.lost = 0
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._waiting: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._last = 0.0  # when the packet before leaves
        self._free = 0.0  # when the narrow line has sent what it was given

    def put(self, packet: bytes, now: float) -> None:
        """A packet enters."""
        shape = self.shape
        if self._chance.random() * 100 < shape.loss_percent or len(self._waiting) >= _MOST_PACKETS:
            self.lost += 1
            return
        moment = now
        if shape.bytes_per_second is not None:
            begins = max(now, self._free)
            if begins - now > _LONGEST_QUEUE_SECONDS:
                self.lost += 1
                return
            self._free = moment = begins + len(packet) / shape.bytes_per_second
        if self._chance.random() * 100 >= shape.reorder_percent:
            shift = shape.jitter_seconds * (2 * self._chance.random() - 1)
            moment = self._last = max(self._last, moment + max(0.0, shape.delay_seconds + shift))
        self._number += 1
        heapq.heappush(self._waiting, (moment, self._number, packet))

    def take(self, now: float) -> list[bytes]:
        """Those that leave by now, in their order."""
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def next_moment(self) -> float | None:
        """When the next one leaves; None while none is on its way."""
        return self._waiting[0][0] if self._waiting else None
