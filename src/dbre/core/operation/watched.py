"""Running a piece of work that may be ended from outside: by its time limit, by an abort, by the loss of the lease."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from dbre.core.clock import Clock
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.hand import Hand

__all__ = ["Limit", "StillRuns", "Stopped", "TimedOut", "watched"]

_FAREWELL_SECONDS = 30.0  # for work that was cancelled, to clean up behind itself
_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class TimedOut(Exception):
    """The work took longer than it may."""


class Stopped(Exception):
    """The work was ended because the operation is to end."""


class StillRuns(Exception):
    """The work ignores that it was cancelled: nothing may be done beside it, and nobody knows what it will have done."""


class Limit:
    """A time limit that does not count the time in which the work has to wait."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._until = clock.monotonic() + seconds
        self._waiting_since: float | None = None
        self.seconds = seconds

    @property
    def remaining_seconds(self) -> float:
        """What is left."""
        end = self._clock.monotonic() if self._waiting_since is None else self._waiting_since
        return self._until - end

    def stop(self) -> None:
        """The work waits from now on."""
        if self._waiting_since is None:
            self._waiting_since = self._clock.monotonic()

    def go_on(self) -> None:
        """The work goes on."""
        if self._waiting_since is not None:
            self._until += self._clock.monotonic() - self._waiting_since
            self._waiting_since = None

    async def passed(self) -> None:
        """Return when nothing is left."""
        while (left := self.remaining_seconds) > 0:
            await self._clock.sleep(left if self._waiting_since is None else max(left, 1.0))


async def watched(work: Coroutine[Any, Any, Result], hand: Hand, limit: Limit, *, heeds_abort: bool) -> Result:
    """What ``work`` gives. However it ends early, it is cancelled and has ended when this returns, or was given up as stuck.

    Raises: what the work raises; TimedOut; Stopped; StillRuns; LeaseLost.
    """
    task: asyncio.Task[Result] = asyncio.create_task(work, name=f"operation-{hand.id}-work")
    hand.work = task
    lost, late = asyncio.ensure_future(hand.lost.wait()), asyncio.ensure_future(limit.passed())
    aborted = asyncio.ensure_future(hand.controls.aborted.wait()) if heeds_abort else None
    others = {one for one in (lost, late, aborted) if one is not None}
    is_stuck = False
    try:
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        if hand.lost.is_set():
            hand.lease.require()
        if task.done() and not task.cancelled():
            return task.result()
        await _end(task, hand)
        is_stuck = not task.done()
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()  # it ended well while it was told to stop
        if task.done() and not task.cancelled() and isinstance(task.exception(), LeaseLost):
            return task.result()
        if not task.done():
            hand.lease.require()
            raise StillRuns(f"it was told to end, and still ran {_FAREWELL_SECONDS:g} s later")
        if late.done():
            raise TimedOut(f"no end after {limit.seconds:g} s, the longest that it may take")
        raise Stopped(hand.controls.reason or "it was cancelled from inside")
    except asyncio.CancelledError:
        hand.is_leaving = True
        raise
    finally:
        for one in others:
            one.cancel()
        if not task.done() and not is_stuck:
            await _end(task, hand)


async def _end(task: "asyncio.Task[Any]", hand: Hand) -> None:
    """Cancel the work and wait for it; a child operation that it waits for is undone meanwhile, however long that takes."""
    task.cancel()
    while not task.done():
        lost = asyncio.ensure_future(hand.lost.wait())
        try:
            await asyncio.wait({task, lost}, timeout=_FAREWELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if task.done():
            return
        if hand.lost.is_set():
            task.cancel()
            await asyncio.wait({task}, timeout=5.0)
        if not hand.ending_children:
            break
    if not task.done():
        _log.error("step_ignores_its_cancellation", operation=str(hand.id), seconds=_FAREWELL_SECONDS)
