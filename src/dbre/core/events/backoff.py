"""How long to wait before the next attempt: exponential, with full jitter."""

import random
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The waits between attempts and their number.

    The defaults ask at least once a minute and give up about half an hour after the first attempt: long enough for a
    receiver to be restarted, short enough that the event that tells of the failure is still news.
    """

    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    max_attempts: int = 60

    def ceiling_seconds(self, attempts: int) -> float:
        """The longest wait after that many failed attempts.

        >>> Backoff(base_seconds=0.5, cap_seconds=60).ceiling_seconds(3)
        2.0
        """
        # The exponent is bounded, because 2.0 ** 1024 is no float any more.
        return float(min(self.cap_seconds, self.base_seconds * 2.0 ** min(max(attempts - 1, 0), 64)))

    def wait_seconds(self, attempts: int, *, chance: random.Random) -> float:
        """A wait drawn evenly from 0 to the ceiling, so that many that failed together do not come back together.

        Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
        """
        return chance.uniform(0, self.ceiling_seconds(attempts))

    def is_exhausted(self, attempts: int) -> bool:
        """Whether no further attempt is due."""
        return attempts >= self.max_attempts
