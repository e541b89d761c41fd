"""Who vouches for a server: a majority of its observers must, again and again, while it is a primary. Pure."""

from collections.abc import Sequence

from dbre.capabilities.ha.watchdog.beacon import Beacon, Word

__all__ = ["Vouching"]


class Vouching:
    """What observers said of one server, by the server's own monotonic clock.

    It is armed once a majority holds the server for the primary, and disarmed once a majority holds it for a replica. Armed,
    it expires when less than a majority has vouched within the time: the observers may be promoting another one by then.
    """

    def __init__(self, observers: Sequence[str], *, instance: str, after_seconds: float) -> None:
        self._observers = tuple(observers)
        self._instance = instance
        self._after_seconds = after_seconds
        self._held: dict[str, float] = {}  # observer: when it last held the server for the primary
        self._freed: dict[str, float] = {}
        self._last: dict[str, tuple[str, int]] = {}  # observer: run and number of its last word
        self._old_runs: set[tuple[str, str]] = set()
        self.is_armed = False

    @property
    def majority(self) -> int:
        """How many must vouch."""
        return len(self._observers) // 2 + 1

    def take(self, one: Beacon, now: float) -> bool:
        """Count a word; False where it is not for us, of a stranger, or was there before."""
        if one.instance != self._instance or one.observer not in self._observers or not self._is_new(one):
            return False
        told, other = (self._held, self._freed) if one.word is Word.HOLD else (self._freed, self._held)
        told[one.observer] = now
        other.pop(one.observer, None)
        if self._count(self._held, now) >= self.majority:
            self.is_armed = True
        elif self._count(self._freed, now) >= self.majority:
            self.is_armed = False
        return True

    def expired(self, now: float) -> bool:
        """Whether the server must not take one more write."""
        return self.is_armed and self._count(self._held, now) < self.majority

    def silence_seconds(self, now: float) -> float | None:
        """For how long there has been no majority; None: it is not armed."""
        if not self.is_armed:
            return None
        newest = sorted(self._held.values(), reverse=True)
        return now - newest[self.majority - 1] if len(newest) >= self.majority else now - min(newest, default=now)

    def _count(self, told: dict[str, float], now: float) -> int:
        return sum(now - at < self._after_seconds for at in told.values())

    def _is_new(self, one: Beacon) -> bool:
        if (one.observer, one.run) in self._old_runs:
            return False
        run, number = self._last.get(one.observer, (one.run, -1))
        if run != one.run:
            self._old_runs.add((one.observer, run))
        elif one.number <= number:
            return False
        self._last[one.observer] = (one.run, one.number)
        return True
