"""Wall time for monotonic moments, steps of the wall clock, and stretches in which this process did not run."""

from collections import deque
from datetime import datetime, timedelta

from dbre.core.clock import Clock

__all__ = ["STEP_SECONDS", "StallLog", "WallAnchor"]

STEP_SECONDS = 1.0
"""A wall clock that leaves the monotonic clock by more than this at once was stepped."""

_SLEW_SECONDS = 0.02  # below: left alone, so that scheduled times do not wobble; above: followed
_PAIR_SECONDS = 0.01  # both clocks must be read within this, else they do not belong together
_STALLS_KEPT = 64


class WallAnchor:
    """Translates monotonic moments into wall time, and notices when the wall clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic()
        self._wall = clock.now()

    def observe(self) -> float | None:
        """Compare the clocks; seconds by which the wall clock was stepped since the last look, negative if back, else None."""
        before = self._clock.monotonic()
        wall = self._clock.now()
        if self._clock.monotonic() - before > _PAIR_SECONDS:
            return None  # this process was paused between the two readings; the next look is soon
        left = (wall - self.at(before)).total_seconds()
        if abs(left) > _SLEW_SECONDS:
            self._monotonic, self._wall = before, wall
        return left if abs(left) > STEP_SECONDS else None

    def at(self, monotonic: float) -> datetime:
        """The wall time of a monotonic moment, by the wall clock as it is set now."""
        return self._wall + timedelta(seconds=monotonic - self._monotonic)


class StallLog:
    """Remembers when the process did not run: stopped, swapped out, or an event loop that was held up.

    A periodic task says until when it sleeps and when it woke. Others ask ``overlaps`` before they believe what they
    measured; that works also in the moments after a stall, before the periodic task had its turn.
    """

    def __init__(self, now: float, *, tolerance: float) -> None:
        self._tolerance = tolerance
        self._expected = now
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_STALLS_KEPT)

    def sleeps_until(self, moment: float) -> None:
        """Note when the periodic task is going to wake."""
        self._expected = moment

    def woke(self, now: float) -> float:
        """Note that the periodic task runs; seconds of the stall that just ended, 0 if there was none."""
        late = now - self._expected
        if late <= self._tolerance:
            return 0.0
        self._stalls.append((self._expected, now))
        return late

    def overlaps(self, start: float, end: float) -> bool:
        """Whether the process was stalled at some time between two monotonic moments."""
        if end - max(self._expected, start) > self._tolerance:
            return True
        return any(stall_start < end and start < stall_end for stall_start, stall_end in self._stalls)
