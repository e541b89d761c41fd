"""After a phase ended: what is written, and what comes next. All of it happens inside one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbre.core.gates.model import GateVerdict
from dbre.core.operation.definition import Handler, Operation
from dbre.core.operation.gate_keeping import Asked
from dbre.core.operation.outcome import NOT_HAPPENED, UNDOING, Ending, Outcome
from dbre.core.operation.page import Page
from dbre.core.operation.position import Position, Todo
from dbre.core.operation.reading import hold_document
from dbre.core.operation.states import OperationState, StepPhase, StepState

__all__ = ["Settling"]

_S = OperationState


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """The rules of one operation: from an outcome to the next thing to do."""

    definition: Operation[Any]
    handlers: Mapping[str, Handler]
    abort: str | None  # why the operation is to end early, as far as its worker knows beside the flags of the page
    asked: Asked | None = None  # what gates said of the next step
    waits_for_gates: bool = False  # they have not answered yet: write what is done, and begin nothing

    async def after(self, page: Page, todo: Todo, outcome: Outcome) -> Todo | None:
        """Write how ``todo`` ended, and what comes next."""
        if outcome.ending is Ending.DONE:
            await page.end(todo.seq, todo.phase, StepState.DONE, outcome)
            return await self.proceed(page)
        if todo.phase is StepPhase.UNDO:
            return await self._undo_failed(page, todo, outcome)
        if outcome.ending is Ending.FAILED:
            await page.end(todo.seq, todo.phase, StepState.FAILED, outcome)
            if page.position.record.state is _S.COMPENSATING:  # the probe says that there is nothing to undo
                return await self.proceed(page)
            is_news = outcome.error is not None and outcome.error.get("code") != NOT_HAPPENED
            return await self._fail(page, outcome.error if is_news or self._abort(page) is None else None)
        return await self._doubt(page, todo, outcome)

    async def proceed(self, page: Page) -> Todo | None:
        """Begin what comes next, or end the state."""
        await self._write_decisions(page)
        state = page.position.record.state
        todo = page.position.next(self.handlers)
        if state in (_S.RUNNING, _S.VERIFYING) and not (todo and todo.is_unknown):
            abort = self._abort(page)
            if abort is not None and not page.position.is_past_return:
                return await self._fail(page, None, abort)
        if todo is None:
            return await self._end_state(page)
        if state is _S.RUNNING and not todo.is_unknown and await self._stands_still(page):
            return None
        if not todo.is_unknown:
            await page.start(todo.seq, todo.phase)
        elif page.position.rows[todo.seq, todo.phase].attempt != page.attempt:
            await page.adopt(todo.seq, todo.phase)
        return todo

    def _abort(self, page: Page) -> str | None:
        refusal = self.asked.worst(GateVerdict.REFUSE) if self.asked else None
        refused = f"gate {refusal.gate} refuses: {refusal.reason}" if refusal else None
        return self.abort or page.flags.abort(page.at) or refused

    async def _write_decisions(self, page: Page) -> None:
        if self.asked is not None and self.asked.news:
            await page.decisions(self.asked.news, moment=self.asked.moment, step=self.asked.step)

    async def _stands_still(self, page: Page) -> bool:
        """Whether the operation is paused here, or waits for gates."""
        if self.waits_for_gates:
            return True
        pause = page.flags.pause(page.at)
        held = self.asked.worst(GateVerdict.HOLD) if self.asked else None
        if pause is not None:
            await page.move(_S.PAUSED, {"hold": hold_document(pause), "pause_requested_by": None, "pause_reason": None})
            return True
        if held is not None and not page.position.is_past_return:
            await page.pause_for_gate(held)
            return True
        return False

    async def _end_state(self, page: Page) -> Todo | None:
        position = page.position
        match position.record.state:
            case _S.RUNNING if self._is_to_be_verified(position):
                await page.move(_S.VERIFYING)
                seq = len(position.steps)
                await page.start(seq, StepPhase.VERIFY)
                return Todo(seq, StepPhase.VERIFY)
            case _S.RUNNING | _S.VERIFYING:
                await page.move(_S.SUCCEEDED, {"outcome": _success(position), "error": None, "hold": None})
            case _S.COMPENSATING:
                undone = _undone(position)
                new = _S.COMPENSATED if undone else _S.FAILED
                await page.move(new, {"outcome": {"undone": undone}})
        return None

    def _is_to_be_verified(self, position: Position) -> bool:
        is_settled = position.state_of(len(position.steps), StepPhase.VERIFY) in (StepState.DONE, StepState.SKIPPED)
        return type(self.definition).verify is not Operation.verify and not is_settled

    async def _fail(self, page: Page, error: Mapping[str, Any] | None, abort: str | None = None) -> Todo | None:
        """End the forward way: undo what is to be undone; past a point of no return a person must look."""
        abort = abort or self._abort(page)
        changes: dict[str, Any] = {"hold": None}
        if abort is not None:
            changes["abort_reason"] = abort
        if error is not None:
            changes["error"] = dict(error)
        if page.position.is_past_return:
            await page.move(_S.NEEDS_OPERATOR, changes | {"error": changes.get("error") or _aborted(abort)})
            return None
        if page.position.next_to_undo(self.handlers) is None:
            await page.move(_S.FAILED, changes | {"outcome": {"undone": []}})
            return None
        await page.move(_S.COMPENSATING, changes)
        return await self.proceed(page)

    async def _doubt(self, page: Page, todo: Todo, outcome: Outcome) -> Todo | None:
        """Nobody knows whether the step happened."""
        await page.doubt(todo.seq, todo.phase, outcome)
        if todo.phase is StepPhase.VERIFY:  # it only looks, so there is nothing to be unsure of
            return await self._fail(page, outcome.error)
        if outcome.still_runs:
            return await self._ask_operator(page, outcome.error)
        step = page.position.steps[todo.seq]
        if page.position.record.state is _S.COMPENSATING:
            if not self.handlers[step.handler].idempotent:
                return await self._ask_operator(page, outcome.error)
            await page.start(todo.seq, StepPhase.UNDO)
            return Todo(todo.seq, StepPhase.UNDO)
        if outcome.stopped is not None:  # ended from outside: it is probed on the way back
            return await self._fail(page, None, outcome.stopped)
        if step.irreversible or not self.handlers[step.handler].idempotent:
            return await self._ask_operator(page, outcome.error)
        return await self._fail(page, outcome.error)

    async def _undo_failed(self, page: Page, todo: Todo, outcome: Outcome) -> Todo | None:
        if outcome.ending is Ending.FAILED:
            await page.end(todo.seq, todo.phase, StepState.FAILED, outcome)
        else:
            await page.doubt(todo.seq, todo.phase, outcome)
        return await self._ask_operator(page, outcome.error)

    async def _ask_operator(self, page: Page, error: Mapping[str, Any] | None) -> Todo | None:
        abort = self._abort(page)
        was_undone = {UNDOING: True} if page.position.record.state is _S.COMPENSATING else {}
        changes: dict[str, Any] = {"error": {**(error or {}), **was_undone}, "hold": None}
        await page.move(_S.NEEDS_OPERATOR, changes | ({"abort_reason": abort} if abort else {}))
        return None


def _success(position: Position) -> dict[str, Any]:
    last = position.rows.get((len(position.steps) - 1, StepPhase.DO))
    seen = position.rows.get((len(position.steps), StepPhase.VERIFY))
    verifications = (seen.result or {}).get("verifications", []) if seen else []
    return {"result": dict(last.result or {}) if last else {}, "verifications": verifications}


def _undone(position: Position) -> list[str]:
    done = [row for (_, phase), row in position.rows.items() if phase is StepPhase.UNDO and row.state is not StepState.FAILED]
    return [row.name for row in sorted(done, key=lambda row: -row.seq)]


def _aborted(reason: str | None) -> dict[str, Any]:
    message = reason or "it cannot go on, and cannot be undone"
    return {"code": "operation.aborted", "message": message, "hint": None, "context": {}, "retryable": False}
