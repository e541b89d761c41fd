"""Steps of an operation walked one after the other, without a journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dbre.core.clock import Clock, SystemClock
from dbre.core.operation.context import FencingToken, PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.plan import Plan, PlannedOperation, Step


@dataclass(kw_only=True)
class WalkedStep:
    """Implements ``StepContext`` for one step."""

    plan: Plan
    step: Step
    clock: Clock = field(default_factory=SystemClock)
    result: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    token: FencingToken = field(default_factory=lambda: FencingToken(uuid4(), 1))
    requested_by: str = "somebody"
    application_name: str = "dbre:backup.restore:test"
    notes: list[str] = field(default_factory=list)

    @property
    def input(self) -> Mapping[str, Any]:
        return self.step.input

    def tuning(self, name: str) -> Any:
        raise NotImplementedError(name)

    async def checkpoint(self) -> None: ...

    async def progress(self, done: float, total: float | None, unit: str) -> None: ...

    async def note(self, text: str) -> None:
        self.notes.append(text)

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> Any:
        raise NotImplementedError(kind)


async def planned(operation: Operation[Any], asked: Mapping[str, Any]) -> PlannedOperation:
    """The plan of an input, as it comes back from where it was stored."""
    given = operation.document.model_validate(asked)
    plan = await operation.plan(PlanContext(clock=SystemClock(), requested_by="somebody"), given)
    made = PlannedOperation(
        kind=operation.kind, definition_version=operation.version, input=given.model_dump(mode="json"), plan=plan
    )
    again = PlannedOperation.from_document(made.document())
    assert again.hash == made.hash
    assert operation.missing(again.plan) == ()
    return again


@dataclass(kw_only=True)
class Walk:
    """One operation on its way."""

    operation: Operation[Any]
    plan: Plan
    token: FencingToken = field(default_factory=lambda: FencingToken(uuid4(), 1))
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def context(self, name: str) -> WalkedStep:
        (step,) = (one for one in self.plan.steps if one.name == name)
        return WalkedStep(plan=self.plan, step=step, results=self.results, token=self.token)

    async def do(self, name: str) -> Mapping[str, Any]:
        """Run one step's handler, and keep what it gave."""
        context = self.context(name)
        self.results[name] = await self.operation.handlers()[context.step.handler].work(self.operation, context) or {}
        return self.results[name]

    async def probe(self, name: str) -> Mapping[str, Any]:
        """Ask one step's probe."""
        context = self.context(name)
        look = self.operation.handlers()[context.step.handler].look
        assert look is not None
        return await look(self.operation, context) or {}

    async def undo(self) -> None:
        """Undo every step that has an undo, the last first."""
        for one in reversed(self.plan.steps):
            if one.undo is not None and one.name in self.results:
                context = self.context(one.name)
                await self.operation.handlers()[one.undo].work(self.operation, context)

    async def verified(self) -> dict[str, tuple[bool, str]]:
        """What verification sees, by subject."""
        found = await self.operation.verify(self.context(self.plan.steps[-1].name))
        return {one.subject: (one.holds, one.detail) for one in found}
