"""What a handler sees of its operation, and how it speaks to those who watch."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.operation import tables
from dbre.core.operation.context import FencingToken, Halt
from dbre.core.operation.definition import Tunable
from dbre.core.operation.hand import Hand
from dbre.core.operation.journal import TOPIC
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.page import LIMIT_NOTES
from dbre.core.operation.plan import Plan, Step
from dbre.core.operation.session_name import session_name
from dbre.core.operation.states import StepPhase, StepState
from dbre.core.store import announce
from dbre.core.telemetry.redaction import redact_text
from dbre.core.text import printable

__all__ = ["Call", "RunChild", "RunContext"]

_LIMIT_NOTE = 4000
RunChild = Callable[[Hand, str, str, Mapping[str, Any], int], Awaitable[OperationRecord]]
"""Runs a child operation of a step: hand, step's name, kind, input, for which time."""


@dataclass(frozen=True, slots=True)
class Call:
    """Which phase of which step is run."""

    seq: int
    phase: StepPhase
    step: Step


class RunContext:
    """The ``StepContext`` of one call of a handler."""

    def __init__(self, hand: Hand, call: Call, *, waits: Callable[[], Awaitable[None]], run_child: RunChild) -> None:
        self._hand = hand
        self._call = call
        self._waits = waits
        self._run_child = run_child
        self.notes: list[str] = []
        self.latest_progress: Mapping[str, Any] | None = None
        self._unwritten = False

    @property
    def clock(self) -> Clock:
        """The clock of the machine, or a test's."""
        return self._hand.clock

    @property
    def plan(self) -> Plan:
        """The stored plan."""
        return self._hand.position.record.planned.plan

    @property
    def step(self) -> Step:
        """The step that is done, probed or undone; while verifying, the last one."""
        return self._call.step

    @property
    def input(self) -> Mapping[str, Any]:
        """The step's input, as planned."""
        return self._call.step.input

    @property
    def result(self) -> Mapping[str, Any]:
        """What the step gave when it was done; ``{}`` where its outcome was never known."""
        row = self._hand.position.rows.get((self._call.seq, StepPhase.DO))
        return row.result or {} if row is not None and row.state is StepState.DONE else {}

    @property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """What earlier steps gave, by name."""
        rows = self._hand.position.rows
        return {
            row.name: row.result or {}
            for (seq, phase), row in rows.items()
            if phase is StepPhase.DO and row.state is StepState.DONE and seq < max(self._call.seq, 0)
        }

    @property
    def token(self) -> FencingToken:
        """Operation and attempt, for targets that can refuse an older one."""
        return FencingToken(self._hand.id, self._hand.pen.fence.attempt)

    @property
    def requested_by(self) -> str:
        """Who asked for the operation."""
        return self._hand.position.record.requested_by

    @property
    def application_name(self) -> str:
        """What sessions on the target call themselves: ``dbre:settings.apply:7b8c9d0e:anna``."""
        record = self._hand.position.record
        return session_name(record.planned.kind, record.id, record.requested_by)

    def tuning(self, name: str) -> Any:
        """The present value of a tunable. Raises: KeyError, a defect, for one that the operation does not have."""
        tunable: Tunable = self._hand.definition.tunables[name]
        given = self._hand.controls.tuning.get(name)
        return tunable.default if given is None else tunable.parse(given) if isinstance(given, str) else given

    @property
    def halt(self) -> Halt | None:
        """What would make a checkpoint wait now; None: nothing."""
        return self._hand.controls.halt()

    async def checkpoint(self) -> None:
        """Return once nothing makes the step wait. Raises: CancelledError where the operation is to end; LeaseLost."""
        self._hand.lease.require()
        await self._waits()
        self._hand.lease.require()

    async def progress(self, done: float, total: float | None, unit: str) -> None:
        """Say how far the step is; kept for those who watch, at most once a second."""
        if not math.isfinite(done):
            return  # it says nothing, and JSON cannot hold it
        total = total if total is not None and math.isfinite(total) else None
        at = self._hand.clock.now().isoformat()
        self.latest_progress = {"done": done, "total": total, "unit": unit, "at": at}
        self._unwritten = True

    async def note(self, text: str) -> None:
        """Add a line to the record of the step; secrets are redacted."""
        self.notes.append(printable(redact_text(text[: 2 * _LIMIT_NOTE]), limit=_LIMIT_NOTE))
        del self.notes[:-LIMIT_NOTES]
        self._unwritten = True

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> OperationRecord:
        """Plan and run another operation as part of this step and wait for its end."""
        self._hand.lease.require()
        return await self._run_child(self._hand, self._call.step.name, kind, asked, turn)

    async def show(self) -> None:
        """Write what was said since the last time, so that others see it."""
        if not self._unwritten or self._hand.lease.remaining_seconds <= 0:
            return
        self._unwritten = False
        row = self._hand.position.rows[self._call.seq, self._call.phase]
        found = tables.step.c
        values = {"progress": self.latest_progress, "notes": [*row.notes, *self.notes][-LIMIT_NOTES:]}
        mine = (
            found.operation_id == self._hand.id,
            found.seq == self._call.seq,
            found.phase == self._call.phase.value,
            found.attempt == self._hand.pen.fence.attempt,
            found.owner == self._hand.pen.fence.owner,
            found.state == StepState.STARTED.value,
        )

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(update(tables.step).where(*mine).values(values))
            announce(connection, TOPIC)

        await self._hand.pen.store.grouped(write)
