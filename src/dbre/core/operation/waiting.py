"""An operation that waits: why it is not taken yet, written where people see it; or that it is not taken at all."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.gates.asking import LOCK_GATE
from dbre.core.gates.model import GateDecision, GateVerdict, Moment
from dbre.core.operation import tables
from dbre.core.operation.gate_keeping import Asked, news
from dbre.core.operation.journal import Journal
from dbre.core.operation.lock_conflict import HeldLock
from dbre.core.operation.locks import release_lock
from dbre.core.operation.model import Hold, OperationRecord
from dbre.core.operation.page import FIRST_LOOK, decision_draft, decision_row
from dbre.core.operation.reading import hold_document
from dbre.core.operation.states import OperationState

__all__ = ["WAITING", "Waiting", "lock_decision"]

WAITING = frozenset({OperationState.QUEUED, OperationState.PAUSED})
"""States that a worker takes an operation from only after asking the gates."""
_LONGEST_LOOK = timedelta(seconds=60)


class Waiting:
    """Writes about an operation that nobody has."""

    def __init__(self, connection: AsyncConnection, journal: Journal, worker_id: str, at: datetime) -> None:
        self._connection = connection
        self._journal = journal
        self._worker_id = worker_id
        self._at = at

    async def hold(self, record: OperationRecord, held: GateDecision, asked: Asked | None) -> None:
        """Say which gate holds it, and when it is asked again: after 5 s, then after as long as it has held, up to a minute."""
        since = record.hold.since if record.hold is not None and record.hold.is_gate else self._at
        pause = min(max(self._at - since, FIRST_LOOK), _LONGEST_LOOK)
        hold = Hold(by=held.gate, is_gate=True, reason=held.reason, since=since)
        values: dict[str, Any] = {"hold": hold_document(hold), "not_before": self._at + pause}
        await self._journal.write(self._connection, record, values)
        own = news(record, [held]) if held.gate == LOCK_GATE and (asked is None or held not in asked.decisions) else ()
        await self._decisions(record, (asked.news if asked else ()) + own, asked)

    async def cancel(self, record: OperationRecord, reason: str, asked: Asked | None) -> None:
        """End it: nothing was begun."""
        changes = {"abort_reason": reason, "hold": None}
        actor = record.cancel_requested_by or self._worker_id
        await self._journal.move(self._connection, record, OperationState.CANCELLED, actor=actor, changes=changes)
        await release_lock(self._connection, record, at=self._at)
        await self._decisions(record, asked.news if asked else (), asked)

    async def _decisions(self, record: OperationRecord, decisions: tuple[GateDecision, ...], asked: Asked | None) -> None:
        moment, step = (asked.moment, asked.step) if asked else (Moment.START, None)
        if decisions:
            rows = [decision_row(record.id, one, moment=moment, step=step, at=self._at) for one in decisions]
            await self._connection.execute(insert(tables.gate_decision), rows)
            await self._journal.note(
                self._connection, *(decision_draft(record.id, self._worker_id, one, step=step) for one in decisions)
            )


def lock_decision(busy: HeldLock) -> GateDecision:
    """What the lock of a target says to an operation that cannot have it now."""
    return GateDecision(
        gate=LOCK_GATE,
        verdict=GateVerdict.HOLD,
        reason=f"operation {busy.operation_id} holds {busy.target} ({busy.mode})",
        evidence={"operation_id": str(busy.operation_id), "target": busy.target, "mode": busy.mode.value},
    )
