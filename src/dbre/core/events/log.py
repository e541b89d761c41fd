"""Writing events: always inside the transaction of what they tell about."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.events.model import Event
from dbre.core.events.tables import event as event_table
from dbre.core.ids import uuid7
from dbre.core.store import announce

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
        if not _KIND.fullmatch(kind) or len(kind) > 100:
            raise ValueError(f"{kind!r} is not a kind of event: write dotted lower-case words, slo.alert_fired")
        row = {
            "id": uuid7(self._clock),
            "kind": kind,
            "subject": subject,
            "at": self._clock.now(),
            "data": dict(data or {}),
        }
        answer = await connection.execute(
            insert(event_table).values(row).returning(event_table.c.sequence, event_table.c.subject)
        )
        stored = answer.one()
        announce(connection, TOPIC)
        return Event(sequence=stored.sequence, **{**row, "subject": stored.subject})
