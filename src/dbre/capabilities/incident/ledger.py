"""Every change of an incident goes through here: row, timeline, event and audit entry in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.model import (
    Change,
    Incident,
    TimelineEntry,
    TimelineKind,
    event_data,
    subject_of,
)
from dbre.capabilities.incident.repository import add_entries, insert_incident, update_incident
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.events import EventLog
from dbre.core.ids import uuid7

__all__ = ["Entry", "Ledger", "Telling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What others hear of a change: the last word of the event's kind, and the text."""

    event: str  # opened, reopened, updated, acknowledged, resolved, merged, closed
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line for the timeline. ``key`` keeps it from being written twice; empty: it is new each time."""

    text: str
    kind: TimelineKind = TimelineKind.STATE
    at: datetime | None = None  # None: now
    key: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Ledger:
    """Writes changes of incidents in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events = EventLog(clock)
        self._audit = AuditLog(clock)

    def now(self) -> datetime:
        """The moment that is written."""
        return self._clock.now()

    def new_id(self) -> UUID:
        """An id for a new incident."""
        return uuid7(self._clock)

    async def open(self, connection: AsyncConnection, incident: Incident, *, by: str, entry: Entry) -> Incident:
        """Write a new incident."""
        await insert_incident(connection, incident)
        await self._tell(connection, incident, Telling(event="opened"), by=by, entry=entry)
        return incident

    async def change(
        self, connection: AsyncConnection, before: Incident, after: Incident, telling: Telling, *, by: str, entry: Entry
    ) -> Incident:
        """Replace an incident that nobody changed since ``before`` was read. Raises: IncidentChanged."""
        written = replace(after, revision=before.revision + 1, changed_at=self.now())
        await update_incident(connection, written, revision=before.revision)
        await self._tell(connection, written, telling, by=by, entry=entry)
        return written

    async def record(self, connection: AsyncConnection, incident_id: UUID, entry: Entry, *, by: str = "") -> bool:
        """Write a line that changes nothing else; whether it was new."""
        return await self.record_all(connection, incident_id, [(entry, by)]) > 0

    async def record_all(self, connection: AsyncConnection, incident_id: UUID, told: Sequence[tuple[Entry, str]]) -> int:
        """Write lines, each with who did it; how many were new."""
        now = self.now()
        lines = [
            TimelineEntry(
                incident_id=incident_id,
                key=entry.key or str(uuid7(self._clock)),
                at=entry.at or now,
                recorded_at=now,
                kind=entry.kind,
                actor=by,
                text=entry.text,
                details=entry.details,
            )
            for entry, by in told
        ]
        return await add_entries(connection, lines)

    async def audit(self, connection: AsyncConnection, action: str, incident: Incident, *, by: str, **data: Any) -> None:
        """Put an act upon an incident into the audit log."""
        draft = AuditDraft(
            action=f"incident.{action}", actor=by, subject=subject_of(incident.id), data={"name": incident.name} | data
        )
        await self._audit.record(connection, draft)

    async def _tell(self, connection: AsyncConnection, incident: Incident, telling: Telling, *, by: str, entry: Entry) -> None:
        await self.record(connection, incident.id, entry, by=by)
        data = event_data(incident, by=by, text=entry.text, change=telling.change)
        await self._events.emit(connection, kind=f"incident.{telling.event}", subject=subject_of(incident.id), data=data)
        # Without the text: notes may hold personal data, which the audit log must not.
        change = {} if telling.change is None else {"change": telling.change.value}
        await self.audit(
            connection, telling.event, incident, by=by, state=incident.state.value, severity=incident.severity.value, **change
        )
