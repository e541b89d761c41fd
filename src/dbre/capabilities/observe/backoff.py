"""The pace of checks: a dead server is asked more and more rarely, and normally again at once when it answers."""

__all__ = ["Backoff"]


class Backoff:
    """Counts consecutive failures and says how long to wait before the next try.

    Closed (fewer than ``threshold`` failures): the usual ``interval``. Open: doubled with each further failure up to
    ``longest``. Half open is the one try after that pause. ``jitter`` in [0, 1) stretches the pause by up to a fifth, so that
    many clients of one server do not come back together.
    """

    def __init__(self, *, threshold: int, interval: float, longest: float, jitter: float = 0.0) -> None:
        self._threshold = threshold
        self._interval = interval
        self._longest = max(longest, interval)
        self._stretch = 1 + jitter / 5
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether the server counts as dead."""
        return self._failures >= self._threshold

    def succeeded(self) -> None:
        """The server answered."""
        self._failures = 0

    def failed(self) -> None:
        """The server could not be reached."""
        self._failures += 1

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next try."""
        if not self.is_open:
            return self._interval
        doublings = min(self._failures - self._threshold + 1, 30)
        return min(self._interval * float(2**doublings), self._longest) * self._stretch
