"""From rows to events and deliveries."""

from typing import Any

from sqlalchemy import Row

from dbre.core.events.model import Delivery, DeliveryState, Event
from dbre.core.events.tables import delivery, event

__all__ = ["DELIVERY_COLUMNS", "EVENT_COLUMNS", "delivery_of", "event_of"]

EVENT_COLUMNS = (event.c.id, event.c.sequence, event.c.kind, event.c.subject, event.c.at, event.c.data)
DELIVERY_COLUMNS = (
    delivery.c.subscription,
    delivery.c.state,
    delivery.c.attempts,
    delivery.c.next_attempt_at,
    delivery.c.last_error,
    delivery.c.delivered_at,
)


def event_of(row: Row[*tuple[Any, ...]]) -> Event:
    """The event in a row that was selected with ``EVENT_COLUMNS``."""
    return Event(id=row.id, sequence=row.sequence, kind=row.kind, subject=row.subject, at=row.at, data=row.data)


def delivery_of(row: Row[*tuple[Any, ...]]) -> Delivery:
    """The delivery in a row that was selected with both sets of columns."""
    return Delivery(
        event=event_of(row),
        subscription=row.subscription,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
        delivered_at=row.delivered_at,
    )
