"""Where the time of one act went: phases that follow one another."""

import time

__all__ = ["Stopwatch"]


class Stopwatch:
    """Runs from the moment it is made; a phase lasts until the next one begins, and one that comes back adds up.

    What is unfinished counts as well, so that a deadline shows which phase it struck in.
    """

    def __init__(self) -> None:
        self._made = time.perf_counter()
        self._spent: dict[str, float] = {}
        self._phase: str | None = None
        self._since = self._made

    def begin(self, phase: str | None) -> None:
        """End the running phase and begin another; None: time that belongs to no phase."""
        now = time.perf_counter()
        if self._phase is not None:
            self._spent[self._phase] = self._spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase that has begun, by name."""
        self.begin(self._phase)
        return dict(self._spent)

    def total_seconds(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self._made
