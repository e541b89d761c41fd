"""Forgetting what has been delivered long ago."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select

from dbre.core.events.model import DeliveryState
from dbre.core.events.tables import NOT_FANNED_OUT, delivery, event
from dbre.core.store import Store

__all__ = ["prune"]

_BATCH = 1000


async def prune(store: Store, *, before: datetime, subscriptions: Sequence[str]) -> int:
    """Delete events older than ``before`` and their deliveries; gives the number of events.

    An event that still waits for one of ``subscriptions`` (those of the running control plane) stays, however old it is;
    what waits for a subscription that no longer exists does not hold an event back.
    """
    waits = exists().where(
        delivery.c.sequence == event.c.sequence,
        delivery.c.state == DeliveryState.PENDING,
        delivery.c.subscription.in_(subscriptions),
    )
    old = select(event.c.sequence).where(event.c.at < before, ~NOT_FANNED_OUT, ~waits).order_by(event.c.sequence).limit(_BATCH)
    total = 0
    while True:  # in batches, so that no other writer waits for long
        async with store.begin() as connection:
            count = (await connection.execute(delete(event).where(event.c.sequence.in_(old)))).rowcount
        total += count
        if count < _BATCH:
            return total
