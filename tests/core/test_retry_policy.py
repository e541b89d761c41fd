import asyncio

import pytest

from dbre.core.errors import Denied, Unreachable
from dbre.core.retry import RetryPolicy, retry
from dbre.testing.clock import FakeClock


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def run(clock: FakeClock, call: Flaky, policy: RetryPolicy, **options) -> str:
    task = asyncio.create_task(retry(call, clock=clock, policy=policy, **options))
    while not task.done():
        await clock.advance(0.05)
    return await task


async def test_retries_after_pauses_drawn_up_to_a_growing_ceiling() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    clock, call = FakeClock(), Flaky(*[Unreachable("gone")] * 4)
    policy = RetryPolicy(attempts=5, first_seconds=0.1, longest_seconds=0.5)
    began = clock.monotonic()
    assert await run(clock, call, policy, draw=draw) == "done"
    assert drawn == [(0.0, 0.1), (0.0, 0.2), (0.0, 0.4), (0.0, 0.5)]
    assert clock.monotonic() - began >= 1.2
    assert call.calls == 5


async def test_gives_the_last_error_after_the_last_attempt() -> None:
    call = Flaky(*[Unreachable(f"gone {number}") for number in range(1, 9)])
    with pytest.raises(Unreachable, match="gone 3"):
        await run(FakeClock(), call, RetryPolicy(attempts=3))
    assert call.calls == 3


@pytest.mark.parametrize("error", [Denied("no"), ValueError("defect")])
async def test_what_a_retry_cannot_help_passes_at_once(error: Exception) -> None:
    call = Flaky(error)
    with pytest.raises(type(error)):
        await run(FakeClock(), call, RetryPolicy(attempts=9))
    assert call.calls == 1


async def test_the_caller_says_what_is_retryable() -> None:
    call = Flaky(OSError("reset"))
    assert await run(FakeClock(), call, RetryPolicy(), when=lambda error: isinstance(error, OSError)) == "done"


async def test_nothing_is_begun_after_the_total_time() -> None:
    call = Flaky(*[Unreachable("gone")] * 99)
    policy = RetryPolicy(attempts=99, first_seconds=1, longest_seconds=1, total_seconds=3.5)
    with pytest.raises(Unreachable):
        await run(FakeClock(), call, policy, draw=lambda _, high: high)
    assert call.calls == 4


async def test_cancellation_passes_through_a_pause() -> None:
    clock = FakeClock()
    call = Flaky(*[Unreachable("gone")] * 9)
    task = asyncio.create_task(retry(call, clock=clock, draw=lambda _, high: high))
    await clock.advance(0)
    assert clock.sleepers == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.calls == 1
