"""Retry with full jitter, for errors of which somebody who knows says that a retry may help."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dbre.core.clock import Clock
from dbre.core.errors import DbreError

__all__ = ["RetryPolicy", "is_retryable", "retry"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long: pause ``n`` is drawn evenly from 0 to ``first_seconds * 2**n``, at most ``longest_seconds``.

    Nothing is begun again after ``total_seconds``.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    """

    attempts: int = 3
    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    total_seconds: float = 30.0

    def ceiling_seconds(self, attempt: int) -> float:
        """The longest pause after failed attempt number ``attempt`` (from 1)."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 60))


def is_retryable(error: BaseException) -> bool:
    """Whether an error of ours says of itself that a retry may help."""
    return isinstance(error, DbreError) and error.retryable


async def retry(
    call: Callable[[], Awaitable[Result]],
    *,
    clock: Clock,
    policy: RetryPolicy = RetryPolicy(),
    when: Callable[[Exception], bool] = is_retryable,
    draw: Callable[[float, float], float] = random.uniform,
) -> Result:
    """What ``call`` returns, after at most ``policy.attempts`` attempts; the last error where none succeeds.

    Errors that ``when`` does not call retryable, and cancellation, pass through at once. The call brings its own timeout.
    """
    began = clock.monotonic()
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except Exception as error:
            pause = draw(0.0, policy.ceiling_seconds(attempt))
            is_late = clock.monotonic() - began + pause > policy.total_seconds
            if attempt >= policy.attempts or is_late or not when(error):
                raise
        await clock.sleep(pause)
