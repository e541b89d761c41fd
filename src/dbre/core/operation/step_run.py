"""Doing, probing or undoing one step: in time, again where that may help, never claiming more than is known."""

import asyncio
import json
import random
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from dbre.core.operation.definition import Handler, NotHappened, OutcomeUnknown, Work
from dbre.core.operation.fingerprint import result_hash
from dbre.core.operation.hand import Hand
from dbre.core.operation.outcome import NOT_HAPPENED, Ending, Outcome, error_document, is_definite
from dbre.core.operation.step_context import RunContext
from dbre.core.operation.watched import Limit, StillRuns, Stopped, watched
from dbre.core.retry import RetryPolicy, is_retryable

__all__ = ["StepRun", "Stubbornness"]

PAUSES = RetryPolicy(first_seconds=0.5, longest_seconds=30.0)
"""How long a step waits before it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubbornness:
    """How a step is to be brought to its end."""

    heeds_abort: bool  # whether cancel, deadline and gates end it early; an undo and a point of no return are not interrupted
    may_give_up: bool = False  # whether they keep it from being tried (again): a step that cannot be undone is not begun then
    rounds: int = 1  # how often all of it, with its retries, is tried: more than once where the only way is forward


class StepRun:
    """One phase of one step, run by one handler."""

    def __init__(self, hand: Hand, handler: Handler, context: RunContext, manner: Stubbornness) -> None:
        self._hand = hand
        self._handler = handler
        self._context = context
        self._manner = manner
        self.limit = Limit(hand.clock, handler.timeout_seconds)
        self._tries = 0
        self._failures = 0  # in a row: the longer, the longer the pause
        self._is_in_doubt = False  # an earlier try may have had its effect; what the present one says is not of that

    async def settle(self, *, may_run: bool) -> Outcome:
        """Find out what became of a phase that was begun by somebody who is gone, and run it where it did not happen.

        Raises: LeaseLost.
        """
        found = await self._probe()
        if found.ending is Ending.DONE:
            return found
        if not may_run or self._is_given_up():
            return found
        if found.ending is Ending.UNKNOWN and not self._handler.idempotent:
            return found
        return await self.run()

    async def run(self) -> Outcome:
        """Run it until it succeeds, fails for good, or nobody can tell. Raises: LeaseLost."""
        last = Outcome(ending=Ending.FAILED)
        for number in range(self._manner.rounds):
            if number:
                await self._pause()
                self.limit = Limit(self._hand.clock, self._handler.timeout_seconds)
            last = await self._round()
            if last.still_runs:
                break
            if last.ending is Ending.DONE or last.stopped or (last.ending is Ending.UNKNOWN and not self._handler.idempotent):
                break
        return last

    async def _round(self) -> Outcome:
        for attempt in range(1, self._handler.attempts + 1):
            ended = await self._try()
            if isinstance(ended, Outcome):
                return ended
            outcome = await self._judged(ended)
            if outcome.ending is Ending.DONE or outcome.stopped or attempt == self._handler.attempts or not is_retryable(ended):
                return outcome
            if outcome.ending is Ending.UNKNOWN and not self._handler.idempotent:
                return outcome
            if not await self._pause():
                return outcome
        return outcome

    async def _try(self) -> Outcome | Exception:
        """One call of the handler: its result, or how it ended otherwise."""
        self._hand.lease.require()
        self._tries += 1
        try:
            result = await self._watch(_checked(self._handler.work, self._hand.definition, self._context))
        except Stopped as stopped:
            return await self._judged(stopped)
        except StillRuns as error:
            return self._outcome(Ending.UNKNOWN, error=error_document(error), still_runs=True)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its outcome, and is journalled
            return error
        self._failures = 0
        return self._outcome(Ending.DONE, result=result)

    async def _judged(self, error: Exception) -> Outcome:
        """What is known after an error: errors of dbre say that nothing happened; else, or in doubt, the probe is asked."""
        document = error_document(error)
        stopped = str(error) if isinstance(error, Stopped) else None
        if is_definite(error) and not self._is_in_doubt:
            return self._outcome(Ending.FAILED, error=document)
        if stopped is not None:  # while it is undone the probe is asked anyhow, and by then it must not be interrupted
            return self._outcome(Ending.UNKNOWN, error=document, stopped=stopped)
        found = await self._probe()
        if found.ending is Ending.DONE:
            return found
        return self._outcome(found.ending, error=document)

    async def _probe(self) -> Outcome:
        """Ask whether it happened; an error of the probe says nothing."""
        if self._handler.look is None:
            self._is_in_doubt = True
            missing = OutcomeUnknown(f"step {self._context.step.name} has no probe")
            return self._outcome(Ending.UNKNOWN, error=error_document(missing))
        error: Exception = OutcomeUnknown("not asked")
        limit = Limit(self._hand.clock, self._handler.timeout_seconds)
        for attempt in range(1, self._handler.attempts + 1):
            self._hand.lease.require()
            look = _checked(self._handler.look, self._hand.definition, self._context)
            try:
                result = await watched(look, self._hand, limit, heeds_abort=False)
            except NotHappened as answer:
                self._is_in_doubt = False
                return self._outcome(Ending.FAILED, error=_not_happened(answer))
            except Exception as raised:  # noqa: BLE001 - what a probe raises means that it cannot tell
                error = raised
            else:
                return self._outcome(Ending.DONE, result=result, is_recovered=True)
            if not is_retryable(error) or limit.remaining_seconds <= 0:
                break
            await self._sleep(PAUSES.ceiling_seconds(attempt))
        self._is_in_doubt = True
        return self._outcome(Ending.UNKNOWN, error=error_document(error))

    async def _watch(self, work: Coroutine[Any, Any, Mapping[str, Any]]) -> Mapping[str, Any]:
        return await watched(work, self._hand, self.limit, heeds_abort=self._manner.heeds_abort)

    async def _pause(self) -> bool:
        """Wait before the next try; whether there is time for one."""
        self._failures += 1
        pause = random.uniform(0.0, PAUSES.ceiling_seconds(self._failures))  # noqa: S311 - spreads retries, hides nothing
        if self._manner.rounds == 1 and pause >= self.limit.remaining_seconds:
            return False
        await self._sleep(pause)
        return not self._is_given_up()

    def _is_given_up(self) -> bool:
        manner = self._manner
        return (manner.heeds_abort or manner.may_give_up) and self._hand.controls.aborted.is_set()

    async def _sleep(self, seconds: float) -> None:
        wakers = [asyncio.ensure_future(self._hand.lost.wait()), asyncio.ensure_future(self._hand.clock.sleep(seconds))]
        if self._manner.heeds_abort or self._manner.may_give_up:
            wakers.append(asyncio.ensure_future(self._hand.controls.aborted.wait()))
        try:
            await asyncio.wait(wakers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waker in wakers:
                waker.cancel()
        self._hand.lease.require()

    def _outcome(self, ending: Ending, **facts: Any) -> Outcome:
        return Outcome(
            ending=ending,
            tries=self._tries,
            progress=self._context.latest_progress,
            notes=tuple(self._context.notes),
            **facts,
        )


async def _checked(work: Work, definition: Any, context: RunContext) -> Mapping[str, Any]:
    """Call a handler and see that its result can be stored. Raises: what it raises; TypeError or ValueError for no JSON."""
    result = await work(definition, context)
    given = dict(result or {})
    json.dumps(given, allow_nan=False, sort_keys=True)  # as the journal does
    result_hash(given)
    return given


def _not_happened(answer: NotHappened) -> Mapping[str, Any]:
    message = str(answer) or "it did not happen"
    return {"code": NOT_HAPPENED, "message": message, "hint": None, "context": {}, "retryable": False}
