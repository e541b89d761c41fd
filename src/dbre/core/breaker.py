"""A circuit breaker: stops asking who does not answer, and finds out with one question at a time when that is over."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum

from dbre.core.clock import Clock
from dbre.core.errors import Unreachable

__all__ = ["BreakerState", "CircuitBreaker", "CircuitOpen"]


class CircuitOpen(Unreachable):
    """Not asked, because the last questions went unanswered."""

    code = "core.circuit_open"


class BreakerState(StrEnum):
    """Closed lets everything through, open nothing, half-open one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after ``failures`` failures in a row for ``open_seconds``; a failed trial doubles that, up to ``longest_seconds``.

    Source: M. Nygard, Release It!, 2nd ed., ch. 5 "Circuit Breaker".
    """

    def __init__(
        self, name: str, *, clock: Clock, failures: int = 5, open_seconds: float = 5.0, longest_seconds: float = 60.0
    ) -> None:
        self.name = name
        self._clock = clock
        self._limit = failures
        self._first_seconds = open_seconds
        self._longest_seconds = longest_seconds
        self._open_seconds = open_seconds
        self._failures = 0
        self._opened_at: float | None = None
        self._is_trying = False

    @property
    def state(self) -> BreakerState:
        """What the next call will meet."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._wait_seconds() <= 0 else BreakerState.OPEN

    @asynccontextmanager
    async def guard(self, *, is_failure: Callable[[Exception], bool | None]) -> AsyncIterator[None]:
        """Run the block if the circuit allows it, and learn from how it ends.

        Only errors that ``is_failure`` calls so count; any other is an answer, as a refused login is, and closes the circuit.
        Where it gives None the error says neither, and nothing is learned, as from a cancelled block.

        Raises: CircuitOpen, and whatever the block raises.
        """
        is_trial = self._enter()
        try:
            yield
        except Exception as error:
            verdict = is_failure(error)
            if verdict:
                self._fail(is_trial)
            elif verdict is False:
                self._succeed()
            raise
        else:
            self._succeed()
        finally:
            if is_trial:
                self._is_trying = False

    def _enter(self) -> bool:
        state = self.state
        if state is BreakerState.CLOSED:
            return False
        if state is BreakerState.OPEN or self._is_trying:
            wait = max(self._wait_seconds(), 0.0)
            raise CircuitOpen(
                f"{self.name} is not asked: {self._failures} failures in a row",
                hint=f"the next trial is in {wait:.1f} s" if wait else "a trial is running",
                context={"failures": self._failures, "retry_after_seconds": round(wait, 3)},
            )
        self._is_trying = True
        return True

    def _wait_seconds(self) -> float:
        return (self._opened_at or 0.0) + self._open_seconds - self._clock.monotonic()

    def _succeed(self) -> None:
        self._failures, self._opened_at, self._open_seconds = 0, None, self._first_seconds

    def _fail(self, is_trial: bool) -> None:
        self._failures += 1
        if is_trial:
            self._open_seconds = min(self._open_seconds * 2, self._longest_seconds)
            self._opened_at = self._clock.monotonic()
        elif self._failures >= self._limit and self._opened_at is None:
            self._opened_at = self._clock.monotonic()
