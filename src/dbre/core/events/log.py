"""Writing events: always inside the transaction of what they tell about."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.events.model import Draft, Event
from dbre.core.events.tables import event as event_table
from dbre.core.ids import uuid7
from dbre.core.store import announce
from dbre.core.store.upsert import upsert

__all__ = ["TOPIC", "EventLog"]

TOPIC = "event"
"""What is announced when a transaction with events is committed."""

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class EventLog:
    """Appends events to the store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def emit(
        self, connection: AsyncConnection, *, kind: str, subject: str, data: Mapping[str, Any] | None = None
    ) -> Event:
        """Record that something happened, in the caller's transaction: both are committed, or neither.

        ``data`` is JSON: snake_case keys, base units in the key, moments as RFC 3339 text.

        Raises: ValueError where ``kind`` is not dotted lower-case words.
        """
        draft = self.draft(kind, subject, data or {})
        row = _row(draft)
        answer = await connection.execute(
            insert(event_table).values(row).returning(event_table.c.sequence, event_table.c.subject)
        )
        stored = answer.one()
        announce(connection, TOPIC)
        return Event(sequence=stored.sequence, **{**row, "subject": stored.subject})

    def draft(self, kind: str, subject: str, data: Mapping[str, Any]) -> Draft:
        """An event of this moment, to be written later.

        Raises: ValueError where ``kind`` is not dotted lower-case words.
        """
        if not _KIND.fullmatch(kind) or len(kind) > 100:
            raise ValueError(f"{kind!r} is not a kind of event: write dotted lower-case words, slo.alert_fired")
        return Draft(id=uuid7(self._clock), kind=kind, subject=subject, at=self._clock.now(), data=dict(data))

    async def write(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
        """Record events in the caller's transaction; what an earlier transaction of unknown outcome wrote is not doubled."""
        await upsert(connection, event_table, [_row(draft) for draft in drafts], keys=["id"])
        announce(connection, TOPIC)


def _row(draft: Draft) -> dict[str, Any]:
    return {"id": draft.id, "kind": draft.kind, "subject": draft.subject, "at": draft.at, "data": draft.data}
