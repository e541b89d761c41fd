"""Taking an operation: at most one worker has it, and the first thing that it does is journalled in the same transaction."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.gates.model import GateVerdict
from dbre.core.operation import tables
from dbre.core.operation.definition import Operation, OperationRegistry
from dbre.core.operation.definitions import DefinitionMissing, DefinitionOf, carry_on
from dbre.core.operation.due import AHEAD, is_ahead_of_clock
from dbre.core.operation.flags import Flags, flags_in
from dbre.core.operation.gate_keeping import Asked
from dbre.core.operation.journal import Fence, Journal, subject_of
from dbre.core.operation.lease import LeaseClock
from dbre.core.operation.locks import parents_of, release_lock, take_lock
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.orphans import is_left_alone, with_parents_end
from dbre.core.operation.outcome import UNDOING, error_document
from dbre.core.operation.page import Page, Pen
from dbre.core.operation.plan import canonical
from dbre.core.operation.position import Position, Todo
from dbre.core.operation.reading import load_for_worker, record_of
from dbre.core.operation.settling import Settling
from dbre.core.operation.states import CLAIMABLE, OperationState
from dbre.core.operation.waiting import WAITING, Waiting, lock_decision
from dbre.core.operation.worker_identity import WorkerIdentity
from dbre.core.store import Store, UtcDateTime

__all__ = ["Claim", "Claimed", "Seen"]

_row = tables.operation.c
_S = OperationState
_UNASKED = WAITING | {_S.AWAITING_APPROVAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An operation that is this worker's now."""

    pen: Pen
    position: Position
    definition: Operation[Any] | None  # None: it needs an operator, because the code for it is missing
    todo: Todo | None
    parent_ids: tuple[UUID, ...]
    flags: Flags  # what people wanted of it at that moment

    @property
    def is_set_back(self) -> bool:
        """Whether nothing was begun, because gates have to see the upgraded plan first."""
        return self.position.record.owner is None and self.position.record.state in CLAIMABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An operation that could be taken when it was looked at."""

    record: OperationRecord  # with its journal, overrides and gate decisions
    parent_ids: tuple[UUID, ...]  # of which it is a child, the nearest first
    mark: UUID | None  # of the last write of its journal: as long as it stands, so does what was seen


@dataclass(frozen=True, kw_only=True)
class Claim:
    """How one worker takes operations."""

    store: Store
    registry: OperationRegistry
    journal: Journal
    leases: LeaseClock
    clock: Clock
    worker: WorkerIdentity
    lease_seconds: float

    async def look(self, operation_id: UUID) -> Seen | None:
        """The operation, if it can be taken now."""
        async with self.store.read() as connection:
            row = await self._row(connection, operation_id)
            if row is None or not await self._may_take(connection, row):
                return None
            record = await load_for_worker(connection, record_of(row))
            return Seen(record=record, parent_ids=await parents_of(connection, record), mark=row.journal_mark)

    async def _may_take(self, connection: AsyncConnection, row: Row[Any]) -> bool:
        """Nobody takes what a person paused, unless it is to be ended: cancelled, late, or a child that is left alone."""
        if not _is_paused_by_person(record_of(row)) or flags_in(row).abort(self.clock.now()) is not None:
            return True
        left = select(_row.id).where(_row.id == row.id, is_left_alone())
        return (await connection.execute(left)).scalar() is not None

    async def take(self, connection: AsyncConnection, seen: Seen, asked: Asked | None, mark: UUID) -> Claimed | None:
        """Claim it and begin the first thing to do; None where that is not possible now.

        ``asked`` is what gates said just now of an operation that waits.
        """
        before, now = seen.record, self.clock.now()
        row = await self._row(connection, before.id)
        if row is None or (row.state, row.attempt, row.journal_mark) != (before.state.value, before.attempt, seen.mark):
            return None
        record = replace(record_of(row), steps=before.steps, gates=before.gates, overrides=before.overrides)
        flags = await with_parents_end(connection, self.journal, record, flags_in(row), at=now)
        abort = flags.abort(now)
        if abort is None and (_is_paused_by_person(record) or record.state is _S.AWAITING_APPROVAL):
            return None  # until a person says otherwise
        if record.state in _UNASKED:
            waiting = Waiting(connection, self.journal, self.worker.id, now)
            refusal = asked.worst(GateVerdict.REFUSE) if asked else None
            abort = abort or (f"gate {refusal.gate} refuses: {refusal.reason}" if refusal else None)
            if abort is not None and not Position.of(record).is_begun:
                await waiting.cancel(record, abort, asked)
                return None
            held = asked.worst(GateVerdict.HOLD) if asked else None
            if abort is None and held is None:
                busy = await take_lock(connection, self.store, record, own=seen.parent_ids, at=now)
                held = lock_decision(busy) if busy else None
            if abort is None and held is not None:
                await waiting.hold(record, held, asked)
                return None
        return await self._claim(connection, record, flags, replace(seen, mark=mark), asked)

    async def _row(self, connection: AsyncConnection, operation_id: UUID) -> Row[Any] | None:
        """Its row, if it is there and can be taken."""
        now = self.clock.now()
        given = {"the_id": operation_id, "the_time": now, "the_latest": now + AHEAD} | self.leases.moment(0.0)
        row: Row[Any] | None = (await connection.execute(self._takeable, given)).first()
        return row

    @cached_property
    def _takeable(self) -> Select[Any]:
        now = bindparam("the_time", type_=UtcDateTime)
        latest = bindparam("the_latest", type_=UtcDateTime)
        has_come = or_(_row.not_before.is_(None), _row.not_before <= now, _row.deadline <= now, is_ahead_of_clock(latest))
        begun = _row.state.in_([one.value for one in CLAIMABLE - WAITING])
        waits = and_(_row.state.in_([one.value for one in WAITING]), has_come)
        found = select(tables.operation).where(_row.id == bindparam("the_id"))
        late = and_(_row.state == _S.AWAITING_APPROVAL.value, _row.deadline <= now)  # only to be cancelled
        return found.where(or_(begun, waits, late), self.leases.is_free_then)

    async def _claim(
        self, connection: AsyncConnection, record: OperationRecord, flags: Flags, seen: Seen, asked: Asked | None
    ) -> Claimed:
        pen = Pen(
            store=self.store,
            journal=self.journal,
            leases=self.leases,
            lease_seconds=self.lease_seconds,
            fence=Fence(self.worker.id, record.attempt + 1),
        )
        now = self.clock.now()
        started_at = record.started_at or now
        values = {"owner": self.worker.id, "attempt": record.attempt + 1, "lease_epoch": self.leases.epoch}
        values |= {"started_at": started_at, "hold": None, "not_before": None, "journal_mark": seen.mark}
        values["dispatched_at"] = None  # when this worker is gone, the next is told as soon as its lease is over
        lease = {"lease_until": self.leases.present() + self.lease_seconds}
        await connection.execute(update(tables.operation).where(_row.id == record.id).values(values | lease))
        mine = replace(
            record, owner=self.worker.id, attempt=record.attempt + 1, started_at=started_at, hold=None, not_before=None
        )
        page = Page(connection, pen, Position.of(mine), flags=flags, at=now)
        definition, todo = await self._begin(page, record, asked)
        await page.close()
        return Claimed(
            pen=pen, position=page.position, definition=definition, todo=todo, parent_ids=seen.parent_ids, flags=flags
        )

    async def _begin(
        self, page: Page, before: OperationRecord, asked: Asked | None
    ) -> tuple[Operation[Any] | None, Todo | None]:
        if before.state is _S.PAUSED:
            await page.move(_S.QUEUED)
        try:
            found = carry_on(self.registry, page.position)
        except DefinitionMissing as error:
            was_undone = {UNDOING: True} if before.state is _S.COMPENSATING else {}
            await page.move(_S.NEEDS_OPERATOR, {"error": error_document(error) | was_undone})
            return None, None
        if found.is_upgraded:
            await self._upgrade(page, found)
            if asked is not None:
                await self._set_back(page, before)
                return found.definition, None
        if before.state in WAITING:
            await page.move(_S.RUNNING)
        else:
            facts = {"worker": self.worker.id, "attempt": page.attempt, "before": before.owner, "state": before.state.value}
            await self.journal.note(page.connection, self._draft(before, "operation.taken_over", facts))
        settling = Settling(definition=found.definition, handlers=found.definition.handlers(), abort=None, asked=asked)
        return found.definition, await settling.proceed(page)

    async def _upgrade(self, page: Page, found: DefinitionOf) -> None:
        record, planned = page.position.record, found.planned
        values = {
            "plan": canonical(planned.document()).decode(),
            "plan_hash": planned.hash,
            "definition_version": planned.definition_version,
        }
        await page.write(values)
        page.position = replace(page.position, record=replace(record, planned=planned, plan_hash=planned.hash))
        facts = {"old_hash": record.plan_hash, "new_hash": planned.hash, "old_version": record.planned.definition_version}
        facts |= {"new_version": planned.definition_version}
        await self.journal.note(page.connection, self._draft(record, "operation.upgraded", facts))

    async def _set_back(self, page: Page, before: OperationRecord) -> None:
        """Give it free again: what gates allowed, and people consented to, was another plan."""
        free = {"owner": None, "lease_epoch": None, "lease_until": None, "dispatched_at": None, "started_at": before.started_at}
        await page.write(free)
        if not page.position.is_begun:
            await release_lock(page.connection, before, at=page.at)
        freed = replace(page.position.record, owner=None, started_at=before.started_at)
        page.position = replace(page.position, record=freed)

    def _draft(self, record: OperationRecord, action: str, facts: dict[str, Any]) -> AuditDraft:
        return AuditDraft(action=action, actor=self.worker.id, subject=subject_of(record.id), data=facts)


def _is_paused_by_person(record: OperationRecord) -> bool:
    return record.state is _S.PAUSED and not (record.hold is not None and record.hold.is_gate)
