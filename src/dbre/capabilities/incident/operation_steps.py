"""The steps of an operation as lines of a timeline, once it has ended."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.ledger import Entry
from dbre.capabilities.incident.model import TimelineKind
from dbre.core.events import Event
from dbre.core.operation.errors import NoSuchOperation
from dbre.core.operation.reading import load
from dbre.core.operation.states import FINAL, OperationState
from dbre.core.text import one_line

__all__ = ["step_entries"]

_TOLD = frozenset({*FINAL, OperationState.NEEDS_OPERATOR})


async def step_entries(connection: AsyncConnection, event: Event) -> Sequence[Entry]:
    """A line for each step of the operation whose end the event tells of; none for any other event."""
    operation_id = event.data.get("operation_id")
    if not event.kind.startswith("operation.") or event.data.get("state") not in _TOLD or not isinstance(operation_id, str):
        return ()
    try:
        record = await load(connection, UUID(operation_id))
    except (ValueError, NoSuchOperation):
        return ()  # forgotten since, or not an event of this store
    return [
        Entry(
            text=one_line(f"step {step.name} of {record.planned.kind}: {step.phase.value} {step.state.value}"),
            kind=TimelineKind.OPERATION,
            at=step.ended_at or step.started_at,
            key=f"step/{record.id}/{step.seq}/{step.phase.value}/{step.attempt}",
            details={"operation_id": operation_id, "step": step.name, "state": step.state.value},
        )
        for step in record.steps
    ]
