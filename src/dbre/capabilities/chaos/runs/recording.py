"""An experiment writes down what becomes of it, while it goes on: nothing is lost with the process that runs it."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.model import NotReverted
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.runs.repository import begin_run, note_run
from dbre.capabilities.chaos.suite.required import entry_of
from dbre.capabilities.chaos.watching import ExperimentAborted
from dbre.core.operation import tables
from dbre.core.operation.context import StepContext
from dbre.core.text import one_line, printable

__all__ = ["Recording", "state_after"]


def state_after(error: BaseException) -> RunState:
    """How an experiment ended that ended by an error."""
    if isinstance(error, ExperimentAborted):
        return RunState.ABORTED if error.is_finding else RunState.STOPPED
    if isinstance(error, NotReverted):
        return RunState.UNREVERTED
    return RunState.STOPPED if isinstance(error, asyncio.CancelledError) else RunState.FAILED


class Recording:
    """Keeps the run of one operation; without a state store it keeps nothing."""

    def __init__(self, ground: ChaosGround, context: StepContext) -> None:
        self._store, self._clock = ground.store, ground.clock
        self._id, self._roles = context.token.operation_id, context.plan.observed.get("roles") or {}
        self._before = context.results.get("baseline", {}).get("before", [])

    async def begin(self, experiment: Experiment) -> None:
        """The first fault is about to come."""
        if self._store is None:
            return
        run = Run(
            id=self._id,
            suite_id=await self._parent(),
            cluster=experiment.cluster,
            title=printable(experiment.title, limit=300) or _title(experiment),
            entry=entry_of(experiment, self._roles),
            state=RunState.RUNNING,
            began_at=self._clock.now(),
            ended_at=None,
            experiment=experiment.model_dump(mode="json", by_alias=True),
            observed={"before": self._before, "roles": dict(self._roles)},
            surroundings=None,
            is_final=False,
        )
        await begin_run(self._store, run)

    async def note(self, observed: Mapping[str, Any], *, state: RunState | None = None) -> None:
        """Add what was observed; with ``state`` it has ended so, unless it was said before how."""
        if self._store is not None:
            ended_at = self._clock.now() if state is not None else None
            await note_run(self._store, self._id, observed, state=state, ended_at=ended_at)

    async def failed(self, observed: Mapping[str, Any], error: BaseException) -> None:
        """It ended by an error."""
        why = observed.get("reason") or one_line(str(error) or type(error).__name__, limit=1000)
        await self.note({**observed, "reason": why}, state=state_after(error))

    async def _parent(self) -> UUID | None:
        assert self._store is not None  # noqa: S101 - the caller looked
        wanted = select(tables.operation.c.parent_id).where(tables.operation.c.id == self._id)
        async with self._store.read() as connection:
            found: UUID | None = (await connection.execute(wanted)).scalar()
        return found


def _title(experiment: Experiment) -> str:
    return "; ".join(f"{one.fault} on {one.instance}" for one in experiment.faults)[:300]
