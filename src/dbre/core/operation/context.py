"""What an operation is handed: to plan, and to do a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from dbre.core.clock import Clock

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord
    from dbre.core.operation.plan import Plan, Step

__all__ = ["FencingToken", "Halt", "PlanContext", "StepContext"]


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Who may act: a later attempt of the same operation outranks an earlier one. Hand it to targets that can compare it."""

    operation_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class Halt:
    """What makes a step wait at its next checkpoint."""

    reason: str
    is_silence: bool  # of a gate that could not answer, so that its fail mode decided; asked again, it may


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """For ``Operation.plan``: it looks and changes nothing."""

    clock: Clock
    requested_by: str
    application_name: str = "dbre:plan"


class StepContext(Protocol):
    """For a handler, its probe and undo, and for ``verify``; the runner makes one for each call."""

    @property
    def clock(self) -> Clock:
        """The clock of the machine, or a test's."""
        ...

    @property
    def plan(self) -> "Plan":
        """The stored plan."""
        ...

    @property
    def step(self) -> "Step":
        """The step that is done, probed or undone; while verifying, the last one."""
        ...

    @property
    def input(self) -> Mapping[str, Any]:
        """The step's input, as planned."""
        ...

    @property
    def result(self) -> Mapping[str, Any]:
        """For an undo: what the step gave when it was done; ``{}`` where its outcome was never known."""
        ...

    @property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """What earlier steps gave, by name."""
        ...

    @property
    def token(self) -> FencingToken:
        """Operation and attempt, for targets that can refuse an older one."""
        ...

    @property
    def requested_by(self) -> str:
        """Who asked for the operation."""
        ...

    @property
    def application_name(self) -> str:
        """What sessions on the target call themselves: ``dbre:settings.apply:7b8c9d0e:anna``."""
        ...

    def tuning(self, name: str) -> Any:
        """The present value of a tunable: its default, or what ``dbre op set`` made of it."""
        ...

    @property
    def halt(self) -> Halt | None:
        """What would make a checkpoint wait now; None: nothing."""
        ...

    async def checkpoint(self) -> None:
        """Call it often in a long step, between two chunks: returns at once, waits while paused or held by a gate.

        Raises: asyncio.CancelledError where the operation is to end, so that it is undone.
        """
        ...

    async def progress(self, done: float, total: float | None, unit: str) -> None:
        """Say how far the step is: 1.5e6 of 4e6 "rows"; kept for those who watch, at most once a second."""
        ...

    async def note(self, text: str) -> None:
        """Add a line to the record of the step: output of a command, something seen. Secrets are redacted."""
        ...

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> "OperationRecord":
        """Plan and run another operation as part of this step and wait for its end; it shares this operation's target lock.

        The child has a dedup key of its own (this operation, step, kind, input), so that a repeated step finds it again. A
        step that wants the same once more, after it ended badly, counts its turns.
        """
        ...
