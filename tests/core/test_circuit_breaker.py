import asyncio

import pytest

from dbre.core.breaker import BreakerState, CircuitBreaker, CircuitOpen
from dbre.core.errors import Denied, Unreachable
from dbre.core.pool import PoolBusy
from dbre.testing.clock import FakeClock


def is_failure(error: Exception) -> bool | None:
    return None if isinstance(error, PoolBusy) else isinstance(error, Unreachable)


async def fail(breaker: CircuitBreaker, error: Exception | None = None) -> None:
    problem = error or Unreachable("gone")
    with pytest.raises(type(problem)):
        async with breaker.guard(is_failure=is_failure):
            raise problem


async def succeed(breaker: CircuitBreaker) -> None:
    async with breaker.guard(is_failure=is_failure):
        pass


async def test_opens_after_failures_in_a_row_and_refuses_without_asking() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("pg1", clock=clock, failures=3, open_seconds=5)
    await fail(breaker)
    await fail(breaker)
    await succeed(breaker)
    for _ in range(3):
        assert breaker.state is BreakerState.CLOSED
        await fail(breaker)
    assert breaker.state is BreakerState.OPEN
    asked = False
    with pytest.raises(CircuitOpen, match="pg1 is not asked: 3 failures in a row") as caught:
        async with breaker.guard(is_failure=is_failure):
            asked = True
    assert not asked
    assert (caught.value.hint, caught.value.retryable) == ("the next trial is in 5.0 s", True)


async def test_half_open_lets_one_trial_through_and_its_end_decides() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("pg1", clock=clock, failures=1, open_seconds=5, longest_seconds=15)
    await fail(breaker)
    for wait in (5, 10, 15, 15):  # doubled by each failed trial, up to the longest
        clock.step_monotonic(wait - 0.1)
        assert breaker.state is BreakerState.OPEN
        clock.step_monotonic(0.1)
        assert breaker.state is BreakerState.HALF_OPEN
        await fail(breaker)
    clock.step_monotonic(15)
    async with breaker.guard(is_failure=is_failure):
        with pytest.raises(CircuitOpen) as caught:
            await succeed(breaker)
        assert caught.value.hint == "a trial is running"
    assert breaker.state is BreakerState.CLOSED
    await fail(breaker)
    clock.step_monotonic(5)  # and it begins with the shortest pause again
    assert breaker.state is BreakerState.HALF_OPEN


async def test_an_answer_that_we_do_not_like_is_an_answer() -> None:
    breaker = CircuitBreaker("pg1", clock=FakeClock(), failures=1)
    await fail(breaker, Denied("wrong password"))
    assert breaker.state is BreakerState.CLOSED


async def test_an_error_that_says_nothing_neither_counts_nor_forgives() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("pg1", clock=clock, failures=2, open_seconds=5)
    await fail(breaker)
    await fail(breaker, PoolBusy("busy"))
    assert breaker.state is BreakerState.CLOSED
    await fail(breaker)
    assert breaker.state is BreakerState.OPEN
    clock.step_monotonic(5)
    await fail(breaker, PoolBusy("busy"))
    assert breaker.state is BreakerState.HALF_OPEN


async def test_a_cancelled_trial_says_nothing_and_frees_its_place() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("pg1", clock=clock, failures=1, open_seconds=5)
    await fail(breaker)
    clock.step_monotonic(5)

    async def trial() -> None:
        async with breaker.guard(is_failure=is_failure):
            await asyncio.Event().wait()

    task = asyncio.create_task(trial())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.state is BreakerState.HALF_OPEN
    await succeed(breaker)
    assert breaker.state is BreakerState.CLOSED


async def test_a_late_failure_of_an_old_call_does_not_lengthen_the_pause() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("pg1", clock=clock, failures=1, open_seconds=5)
    gate = asyncio.Event()

    async def old() -> None:
        async with breaker.guard(is_failure=is_failure):
            await gate.wait()
            raise Unreachable("late")

    task = asyncio.create_task(old())
    await asyncio.sleep(0)
    await fail(breaker)
    clock.step_monotonic(5)
    async with breaker.guard(is_failure=is_failure):
        gate.set()
        with pytest.raises(Unreachable):
            await task
    assert breaker.state is BreakerState.CLOSED
