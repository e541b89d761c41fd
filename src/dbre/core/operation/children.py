"""Operations that are part of a step of another one."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import OperationRegistry
from dbre.core.operation.errors import LeaseLost, OperationConflict
from dbre.core.operation.hand import Hand
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import TOPIC, Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation, canonical
from dbre.core.operation.reading import load
from dbre.core.operation.session_name import session_name
from dbre.core.operation.states import OperationState, StepState
from dbre.core.store import Store, announce
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["Children"]

_AGAIN_SECONDS = 0.5
_ENDED = (OperationState.NEEDS_OPERATOR,)
_ENDED_BADLY = (OperationState.FAILED, OperationState.CANCELLED, OperationState.COMPENSATED)
_row = tables.operation.c
_log = structlog.get_logger(__name__)


class Children:
    """Makes, finds again, runs and cancels them."""

    def __init__(
        self,
        store: Store,
        registry: OperationRegistry,
        journal: Journal,
        clock: Clock,
        walk: Callable[[UUID], Awaitable[OperationRecord | None]],
    ) -> None:
        self._store = store
        self._registry = registry
        self._journal = journal
        self._clock = clock
        self._walk = walk

    async def run(self, parent: Hand, step: str, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> OperationRecord:
        """The child's end, or that it needs an operator. Cancelled: the child is cancelled and undone first."""
        child_id = await self._child(parent, step, kind, asked, turn)
        try:
            return await self._until_ended(parent, child_id)
        except asyncio.CancelledError:
            if parent.lease.remaining_seconds > 0 and not parent.is_leaving:
                parent.ending_children += 1
                try:
                    await self._cancel(parent, child_id)
                finally:
                    parent.ending_children -= 1
            raise

    async def _child(self, parent: Hand, step: str, kind: str, asked: Mapping[str, Any], turn: int) -> UUID:
        wanted = [kind, dict(asked), turn] if turn else [kind, dict(asked)]  # children from before turns are found again
        digest = hashlib.sha256(canonical(wanted)).hexdigest()[:32]
        key = f"child:{parent.id}:{hashlib.sha256(step.encode()).hexdigest()[:16]}:{digest}"
        async with self._store.read() as connection:
            found, key = await _find(connection, parent, step, kind, key)
        if found is not None:
            return found
        definition = self._registry.get(kind)
        record = parent.position.record
        document = definition.document.model_validate(dict(asked))
        name = session_name(kind, parent.id, record.requested_by)
        context = PlanContext(clock=self._clock, requested_by=record.requested_by, application_name=name)
        plan = await definition.plan(context, document)
        planned = PlannedOperation(kind=kind, definition_version=definition.version, input=dict(asked), plan=plan)
        new = NewOperation(
            planned=planned,
            requested_by=record.requested_by,
            reason=f"part of {record.planned.kind} {record.id}, step {step}",
            dedup_key=key,
            parent_id=parent.id,
            zone=record.zone,
            priority=record.priority,
            deadline=record.deadline,
        )

        async def write(connection: AsyncConnection) -> UUID:
            parent.lease.require()
            again, _ = await _find(connection, parent, step, kind, key)
            if again is not None:
                return again
            return await insert_operation(connection, self._journal, new, actor=record.requested_by, clock=self._clock)

        return await self._store.grouped(write)

    async def _until_ended(self, parent: Hand, child_id: UUID) -> OperationRecord:
        while True:
            try:
                await self._walk(child_id)
                async with self._store.read() as connection:
                    record = await load(connection, child_id)
                if record.is_final or record.state in _ENDED:
                    return record
            except LeaseLost:
                parent.lease.require()  # the child's alone: it is taken again when that lease has run out
            except ControlPlaneLockLost:
                raise
            except StoreError as error:  # an outage says nothing of the child; the parent's lease says how long to wait
                _log.warning("child_not_read", operation=str(child_id), code=error.code, error=error.message)
            # Held by a gate, paused by a person, or still in the hands of a worker that is gone: until its lease ends.
            await self._clock.sleep(_AGAIN_SECONDS)

    async def _cancel(self, parent: Hand, child_id: UUID) -> None:
        by = f"operation {parent.id}"
        request = {"cancel_requested_by": by, "cancel_requested_at": self._clock.now(), "not_before": None}

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(update(tables.operation).where(_row.id == child_id).values(request))
            announce(connection, TOPIC)

        await self._written(parent, write)
        await self._until_ended(parent, child_id)

    async def _written(self, parent: Hand, write: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Write a wish, again while the store is out and the parent's lease lives: a child that is not told goes on."""
        while True:
            parent.lease.require()
            try:
                await self._store.grouped(write)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("child_not_cancelled", operation=str(parent.id), code=error.code, error=error.message)
                await self._clock.sleep(_AGAIN_SECONDS)
            else:
                return


async def _find(connection: AsyncConnection, parent: Hand, step: str, kind: str, key: str) -> tuple[UUID | None, str]:
    """The child that this beginning of the parent's step has, or the key for a new one.

    One that had ended badly before the step was begun belongs to an earlier beginning: a person had the step done again. What
    a person gave up stays given up.

    Raises: OperationConflict where the key belongs to something else.
    """
    begun, first, generation = _begun_at(parent, step), key, 0
    while True:
        wanted = select(_row.id, _row.kind, _row.parent_id, _row.state, _row.ended_at).where(_row.dedup_key == key)
        found = (await connection.execute(wanted)).first()
        if found is None:
            return None, key
        if found.parent_id != parent.id or found.kind != kind:
            raise OperationConflict(
                f"operation {found.id} has the key of a child of {parent.id}, and is none",
                hint=f"dbre op show {found.id}",
            )
        is_earlier = begun is not None and found.ended_at is not None and found.ended_at < begun
        if found.state not in _ENDED_BADLY or not is_earlier:
            return found.id, key
        generation += 1
        key = f"{first}:{generation}"


def _begun_at(parent: Hand, step: str) -> datetime | None:
    rows = [row for row in parent.position.rows.values() if row.name == step and row.state is StepState.STARTED]
    return max((row.started_at for row in rows), default=None)
