"""Walking an operation that is in this worker's hands: do, write, look what comes next, until there is nothing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dbre.core.gates.model import Moment
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import Handler
from dbre.core.operation.errors import VerificationFailed
from dbre.core.operation.gate_keeping import Asked, GateKeeping
from dbre.core.operation.hand import Hand
from dbre.core.operation.inside import Inside, beside
from dbre.core.operation.outcome import Ending, Outcome
from dbre.core.operation.page import Page
from dbre.core.operation.plan import Step
from dbre.core.operation.position import Todo
from dbre.core.operation.settling import Settling
from dbre.core.operation.states import OperationState, StepPhase
from dbre.core.operation.step_context import Call, RunChild, RunContext
from dbre.core.operation.step_run import StepRun, Stubbornness

__all__ = ["Walk", "WalkLimits"]

_S = OperationState


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkLimits:
    """How patient a walk is."""

    verify_seconds: float = 600.0  # the verification, with its retries
    forward_rounds: int = 5  # past a point of no return a step is tried this often, with all its attempts each time
    undo_rounds: int = 3  # and the undo of a step
    record_within_seconds: float = 0.25  # gates delay the record of a step that is done by no more


class Walk:
    """One operation, walked."""

    def __init__(
        self,
        hand: Hand,
        keeping: GateKeeping,
        *,
        run_child: RunChild,
        places: asyncio.Semaphore,
        limits: WalkLimits = WalkLimits(),
    ) -> None:
        self._hand = hand
        self._keeping = keeping
        self._run_child = run_child
        self._places = places
        self._limits = limits

    async def run(self, todo: Todo | None) -> None:
        """Go on from ``todo`` until the operation has ended, is paused, or needs an operator. Raises: LeaseLost."""
        while todo is not None:
            outcome = await self._perform(todo)
            todo = await self._settle(todo, outcome)

    async def _settle(self, todo: Todo, outcome: Outcome) -> Todo | None:
        """Write the outcome at once; what comes next is begun in the same transaction if gates answer soon."""
        question = self._question(todo, outcome)
        if question is None:
            return await self._after(todo, outcome, None)
        asking = asyncio.create_task(self._ask(question))
        try:
            await asyncio.wait({asking}, timeout=self._limits.record_within_seconds)
            if asking.done():
                return await self._after(todo, outcome, asking.result())
            following = await self._after(todo, outcome, None, waits_for_gates=True)
            if following is not None or self._hand.position.record.state is not _S.RUNNING:
                return following
            asked = await asking
        finally:
            asking.cancel()
        return await self._hand.commit("boundary", lambda page: self._settling(asked).proceed(page))

    async def _after(self, todo: Todo, outcome: Outcome, asked: Asked | None, *, waits_for_gates: bool = False) -> Todo | None:
        settling = replace(self._settling(asked), waits_for_gates=waits_for_gates)

        async def write(page: Page) -> Todo | None:
            return await settling.after(page, todo, outcome)

        return await self._hand.commit(f"{todo.phase} {todo.seq} {outcome.ending}", write)

    def _settling(self, asked: Asked | None) -> Settling:
        return Settling(
            definition=self._hand.definition,
            handlers=self._hand.handlers,
            abort=self._hand.controls.reason,
            asked=asked,
        )

    def _question(self, todo: Todo, outcome: Outcome) -> str | None:
        """The name of the step that gates must let begin; None where there is none, or where nobody may stop any more."""
        position = self._hand.position
        if position.record.state is not _S.RUNNING or outcome.ending is not Ending.DONE or todo.seq + 1 >= len(position.steps):
            return None
        if position.is_past_return or position.steps[todo.seq].irreversible or self._hand.controls.aborted.is_set():
            return None
        return position.steps[todo.seq + 1].name if self._keeping.has_any(position.record) else None

    async def _ask(self, step: str) -> Asked:
        async with self._places:
            return await self._keeping.ask_running(self._hand, Moment.BOUNDARY, step)

    async def _perform(self, todo: Todo) -> Outcome:
        handler, step = self._handler(todo)
        call = Call(todo.seq, todo.phase, step)
        manner = self._manner(todo)
        run: StepRun
        context = RunContext(
            self._hand, call, waits=lambda: _wait(self._hand, run, heeds=manner.heeds_abort), run_child=self._run_child
        )
        run = StepRun(self._hand, handler, context, manner)
        asks = self._keeping if manner.heeds_abort else None
        async with beside(Inside(self._hand, context, asks, places=self._places)):
            if todo.is_unknown:
                return await run.settle(may_run=not self._is_only_asked(todo))
            return await run.run()

    def _is_only_asked(self, todo: Todo) -> bool:
        return todo.phase is StepPhase.DO and self._hand.position.record.state is _S.COMPENSATING

    def _manner(self, todo: Todo) -> Stubbornness:
        position = self._hand.position
        if todo.phase is StepPhase.UNDO:
            return Stubbornness(heeds_abort=False, rounds=self._limits.undo_rounds)
        if position.is_past_return:
            rounds = self._limits.forward_rounds if todo.phase is StepPhase.DO else 1
            return Stubbornness(heeds_abort=False, rounds=rounds)
        is_final = todo.phase is StepPhase.DO and position.steps[todo.seq].irreversible
        heeds_abort = not is_final and position.record.state is not _S.COMPENSATING
        return Stubbornness(heeds_abort=heeds_abort, may_give_up=is_final)

    def _handler(self, todo: Todo) -> tuple[Handler, Step]:
        steps = self._hand.position.steps
        if todo.phase is StepPhase.VERIFY:
            last = steps[-1] if steps else Step("verify")
            return Handler(_verify, timeout_seconds=self._limits.verify_seconds, idempotent=True, attempts=5), last
        step = steps[todo.seq]
        name = step.undo if todo.phase is StepPhase.UNDO else step.handler
        return self._hand.handlers[name or step.handler], step


async def _verify(definition: Any, context: StepContext) -> Mapping[str, Any]:
    """Run the definition's verification. Raises: VerificationFailed."""
    seen = await definition.verify(context)
    found = [{"subject": one.subject, "holds": one.holds, "detail": one.detail} for one in seen]
    broken = [one for one in seen if not one.holds]
    if broken:
        raise VerificationFailed(
            "; ".join(f"{one.subject}: {one.detail}" for one in broken)[:1000],
            hint="every step ended well, and yet the goal is not reached",
            context={"verifications": found},
        )
    return {"verifications": found}


async def _wait(hand: Hand, run: StepRun, *, heeds: bool) -> None:
    """A checkpoint of a step."""
    if not heeds:
        return
    if not hand.controls.free.is_set():
        run.limit.stop()
        try:
            await hand.controls.free.wait()
        finally:
            run.limit.go_on()
    if hand.controls.aborted.is_set():
        raise asyncio.CancelledError
