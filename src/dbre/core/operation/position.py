"""Where an operation stands by its journal, and what comes next. Pure: the same journal always gives the same answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dbre.core.operation.definition import Handler
from dbre.core.operation.model import OperationRecord, StepRecord
from dbre.core.operation.plan import Step
from dbre.core.operation.states import OperationState, StepPhase, StepState

__all__ = ["Position", "Todo"]

Rows = Mapping[tuple[int, StepPhase], StepRecord]
_SETTLED = (StepState.DONE, StepState.SKIPPED)


@dataclass(frozen=True, slots=True)
class Todo:
    """What comes next: one phase of one step."""

    seq: int
    phase: StepPhase
    is_unknown: bool = False  # it was begun, and nobody knows whether it happened: ask before doing it


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An operation and its journal, as the worker that has it knows them."""

    record: OperationRecord  # without its journal
    rows: Rows

    @classmethod
    def of(cls, record: OperationRecord) -> "Position":
        """From an operation that was read with its journal."""
        return cls(record=replace(record, steps=()), rows={(row.seq, row.phase): row for row in record.steps})

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the stored plan."""
        return self.record.planned.plan.steps

    @property
    def is_past_return(self) -> bool:
        """Whether a step is done that cannot be undone: from then on the operation only goes forward."""
        return any(step.irreversible and self.state_of(seq) is StepState.DONE for seq, step in enumerate(self.steps))

    @property
    def is_begun(self) -> bool:
        """Whether any step was begun."""
        return any(phase is StepPhase.DO for _, phase in self.rows)

    def state_of(self, seq: int, phase: StepPhase = StepPhase.DO) -> StepState | None:
        """How far a phase has come; None: not begun."""
        row = self.rows.get((seq, phase))
        return row.state if row else None

    def with_row(self, row: StepRecord) -> "Position":
        """The same with another row."""
        return replace(self, rows={**self.rows, (row.seq, row.phase): row})

    def next(self, handlers: Mapping[str, Handler]) -> Todo | None:
        """What comes next in the present state; None: nothing, so the state ends."""
        match self.record.state:
            case OperationState.RUNNING:
                return self.first_to_do()
            case OperationState.VERIFYING:
                is_done = self.state_of(len(self.steps), StepPhase.VERIFY) in _SETTLED
                return None if is_done else Todo(len(self.steps), StepPhase.VERIFY)
            case OperationState.COMPENSATING:
                return self.next_to_undo(handlers)
        return None

    def first_to_do(self) -> Todo | None:
        """The first step that is not done, whatever the state; None: all are."""
        for seq in range(len(self.steps)):
            state = self.state_of(seq)
            if state not in _SETTLED:
                return Todo(seq, StepPhase.DO, is_unknown=state is StepState.STARTED)
        return None

    def next_to_undo(self, handlers: Mapping[str, Handler]) -> Todo | None:
        """The last step that is still to be undone, or of which must be found out whether it happened; None: all is undone."""
        for seq in reversed(range(len(self.steps))):
            step, undo = self.steps[seq], self.state_of(seq, StepPhase.UNDO)
            if undo in _SETTLED:
                continue
            if undo is not None:
                return Todo(seq, StepPhase.UNDO, is_unknown=undo is StepState.STARTED)
            did = self.state_of(seq)
            if did is StepState.STARTED and (step.undo is not None or not _is_idempotent(step, handlers)):
                return Todo(seq, StepPhase.DO, is_unknown=True)
            if did is StepState.DONE and step.undo is not None:
                return Todo(seq, StepPhase.UNDO)
        return None


def _is_idempotent(step: Step, handlers: Mapping[str, Handler]) -> bool:
    handler = handlers.get(step.handler)
    return handler is not None and handler.idempotent
