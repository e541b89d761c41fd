"""Every change of state goes through here: checked, fenced, audited and announced in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft, AuditRecorder
from dbre.core.clock import Clock
from dbre.core.events import EventLog
from dbre.core.operation import tables
from dbre.core.operation.errors import LeaseLost, OperationConflict
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import FINAL, OperationState, check_transition
from dbre.core.store import announce
from dbre.core.store.notes import defer

__all__ = ["REQUESTS", "TOPIC", "Fence", "Journal", "subject_of"]

TOPIC = "operation"
"""What is announced when a transaction that changed an operation is committed."""

REQUESTS = "operation-requests"
"""What is announced beside it where somebody else than the operation's worker changed it: to cancel, to pause, to tune."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes: nothing is written if the operation has another owner or attempt by then."""

    owner: str
    attempt: int


def subject_of(operation_id: UUID) -> str:
    """How the audit log and events name an operation."""
    return f"operation/{operation_id}"


class Journal:
    """Moves operations from state to state."""

    def __init__(self, audit: AuditRecorder, events: EventLog, clock: Clock) -> None:
        self._audit = audit
        self._events = events
        self._clock = clock

    def now(self) -> datetime:
        """The moment that is written."""
        return self._clock.now()

    async def move(
        self,
        connection: AsyncConnection,
        record: OperationRecord,
        new: OperationState,
        *,
        actor: str,
        fence: Fence | None = None,
        changes: Mapping[str, Any] | None = None,
        audit: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the operation that is in ``record.state`` into ``new``, with other columns as ``changes`` say.

        A worker gives its ``fence``; a person's command gives none and conflicts with whatever changed since it read.

        Raises: LeaseLost (fenced) or OperationConflict where the row is not as ``record`` has it; ValueError for a transition
        that does not exist.
        """
        check_transition(record.state, new)
        values = dict(changes or {}) | {"state": new.value}
        if fence is None:
            values.setdefault("dispatched_at", None)  # a person changed it: workers are told again at once
        if new in FINAL:
            values.setdefault("ended_at", self._clock.now())
        await self.write(connection, record, values, fence=fence)
        subject = subject_of(record.id)
        facts = {"from": record.state.value, "kind": record.planned.kind, "target": record.planned.plan.target}
        await self._audit.record(
            connection, AuditDraft(action=f"operation.{new}", actor=actor, subject=subject, data=facts | dict(audit or {}))
        )
        data = facts | {"operation_id": str(record.id), "state": new.value, "actor": actor, "plan_hash": record.plan_hash}
        event = self._events.draft(f"operation.{new}", subject, data)
        defer(connection, self._events.write, [event])  # one statement for all that share the transaction

    async def write(
        self, connection: AsyncConnection, record: OperationRecord, values: Mapping[str, Any], *, fence: Fence | None = None
    ) -> None:
        """Change columns of an operation that is still in ``record.state``. Raises: LeaseLost (fenced) or OperationConflict."""
        found = tables.operation.c
        condition = [found.id == record.id, found.state == record.state.value]
        if fence is not None:
            condition += [found.owner == fence.owner, found.attempt == fence.attempt]
        answer = await connection.execute(update(tables.operation).where(*condition).values(dict(values)))
        if answer.rowcount != 1:
            if fence is not None:
                raise LeaseLost(record.id, why=f"it is not in the hands of {fence.owner}, attempt {fence.attempt}, any more")
            raise OperationConflict(f"operation {record.id} is not {record.state} any more", hint=f"dbre op show {record.id}")
        announce(connection, TOPIC)
        if fence is None:
            announce(connection, REQUESTS)

    async def note(self, connection: AsyncConnection, *drafts: AuditDraft) -> None:
        """Record what changes no state of an operation: a step's transition, a gate's decision."""
        await self._audit.record(connection, *drafts)
