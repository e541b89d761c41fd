"""How much an observer trusts silence: one that lately saw servers come back from it, unharmed, waits longer than they took.

Where packets are lost, or an observer has no CPU, living servers are silent again and again, and several observers at once.
"""

from collections import deque

__all__ = ["LATELY_SECONDS", "Doubts"]

LATELY_SECONDS = 120.0
FACTOR = 2.0
MOST_SECONDS = 30.0  # a server that was frozen for long and came back must not hide a death for ever


class Doubts:
    """The silences of servers that turned out to be alive, as one observer met them. Moments are monotonic."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, str]] = {}  # server: when its process last answered, and which that was
        self._silent: set[str] = set()
        self._mistakes: deque[tuple[float, float]] = deque()  # when the silence ended, and how long it was

    def answered(self, name: str, process: str, now: float) -> None:
        """A server answered; if it was silent before and is the same process still, its silence meant nothing."""
        before = self._answers.get(name)
        if name in self._silent and before is not None and before[1] == process:
            self._mistakes.append((now, now - before[0]))
        self._answers[name] = (now, process)
        self._silent.discard(name)

    def lived(self, name: str) -> None:
        """A server gave another sign of life, which does not tell whether it is the same process."""
        self._answers.pop(name, None)
        self._silent.discard(name)

    def was_silent(self, name: str) -> None:
        """A server did not answer a round."""
        self._silent.add(name)

    def wanted_seconds(self, now: float) -> float:
        """How long a silence must last before it means anything; 0 where no silence was wrong of late."""
        while self._mistakes and now - self._mistakes[0][0] > LATELY_SECONDS:
            self._mistakes.popleft()
        return min(MOST_SECONDS, FACTOR * max((length for _, length in self._mistakes), default=0.0))
