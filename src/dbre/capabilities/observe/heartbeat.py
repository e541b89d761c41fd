"""Sequence numbers of a cluster's heartbeat, and how old the newest one is that a replica shows."""

from collections import OrderedDict
from datetime import datetime

__all__ = ["Heartbeat"]

_REMEMBERED = 4096  # at one write in ten seconds: eleven hours of staleness can be told
_LARGEST = 2**62  # far beyond any date in microseconds, and a signed 64-bit column still has room


class Heartbeat:
    """The heartbeat row of one cluster as its writer knows it.

    A sequence number is the wall clock in microseconds, but always larger than any number sent or seen before. So it grows
    over restarts without a file; and where the clock was set back while we were down, the first number that the database
    shows lifts ours above it. It is a number, not a time: ages come from the monotonic clock at the moment of sending, so
    they do not depend on anybody's wall clock.
    """

    def __init__(self) -> None:
        self._last = 0
        self._sent: OrderedDict[int, float] = OrderedDict()

    @property
    def last(self) -> int:
        """The largest number sent or seen; 0 before the first."""
        return self._last

    def send(self, wall: datetime, monotonic: float) -> int:
        """The number of the next write, remembered as sent at ``monotonic``."""
        self._last = max(self._last + 1, int(wall.timestamp() * 1_000_000))
        self._sent[self._last] = monotonic
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return self._last

    def saw(self, sequence: int) -> None:
        """Note a number that a database shows: ours, or one from before a restart or from another writer."""
        if self._last < sequence < _LARGEST:
            self._last = sequence

    def age(self, sequence: int, monotonic: float) -> float | None:
        """Seconds since a number was sent; None if this process did not send it, or so long ago that it was forgotten."""
        sent = self._sent.get(sequence)
        return None if sent is None else max(monotonic - sent, 0.0)

    def least_age(self, sequence: int, monotonic: float) -> float | None:
        """What the age of an unknown number is at least: one below all that we remember was sent before the oldest of them.

        So a replica that stood still before this process started, or for longer than it remembers, is seen to be stale.
        """
        oldest = next(iter(self._sent), None)
        return None if oldest is None or sequence >= oldest else max(monotonic - self._sent[oldest], 0.0)
