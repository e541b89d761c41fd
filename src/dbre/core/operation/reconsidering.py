"""Asking once more whether operations that wait for people still have to: policies change, and windows end."""

from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft
from dbre.core.errors import DbreError, StoreError
from dbre.core.gates.approval import APPROVAL, approvals_wanted
from dbre.core.gates.asking import question_for
from dbre.core.gates.model import GateVerdict
from dbre.core.operation.approving import release_approved
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.journal import subject_of
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState
from dbre.core.operation.store_desk import DeskParts
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["ACTOR", "Reconsideration"]

ACTOR = "dbre"
_EVERY_SECONDS = 60.0
_BATCH = 500
_log = structlog.get_logger(__name__)


class Reconsideration:
    """Queues what waits for an approval that nothing asks for any more; at the start, and each minute."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Look until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        while True:
            try:
                await self.reconsider()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("approvals_not_reconsidered", code=error.code, error=error.message)
            await self._parts.clock.sleep(_EVERY_SECONDS)

    async def reconsider(self) -> int:
        """Look once; gives the number of operations that were queued."""
        wanted = OperationFilter(states=(OperationState.AWAITING_APPROVAL,), limit=_BATCH)
        async with self._parts.store.read() as connection:
            found = await list_operations(connection, wanted, may_see=lambda _: True)
            waiting = [await load(connection, one.id) for one in found]  # with its overrides
        count = 0
        for record in waiting:
            if await self._still_waits(record):
                continue
            released = await self._parts.store.grouped(partial(self._release, seen=record))
            if released is not None:
                count += 1
                await self._parts.dispatcher.dispatch(released.id, zone=released.zone, priority=released.priority)
        return count

    async def _still_waits(self, record: OperationRecord) -> bool:
        parts = self._parts
        question = question_for(
            record.planned, parts.fleet, requested_by=record.requested_by, at=parts.clock.now(), operation_id=record.id
        )
        try:
            decisions = await parts.gates.ask(question, overrides=[one.gate for one in record.overrides])
        except DbreError as error:
            _log.warning("approval_not_reconsidered", operation=str(record.id), code=error.code, error=error.message)
            return True
        unclear = any(one.gate == APPROVAL and one.verdict is not GateVerdict.ALLOW for one in decisions)
        return unclear or bool(approvals_wanted(decisions))

    async def _release(self, connection: AsyncConnection, seen: OperationRecord) -> OperationRecord | None:
        parts = self._parts
        record = await load(connection, seen.id)
        if record.state is not OperationState.AWAITING_APPROVAL:
            return None  # somebody approved or cancelled it meanwhile
        facts = {"why": "no policy wants an approval of it any more"}
        draft = AuditDraft(action="operation.approval_not_needed", actor=ACTOR, subject=subject_of(record.id), data=facts)
        await parts.journal.note(connection, draft)
        return await release_approved(connection, record.id, actor=ACTOR, journal=parts.journal, at=parts.clock.now())
