"""Forgetting what has been delivered long ago."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.events.model import DeliveryState
from dbre.core.events.tables import delivery, event

__all__ = ["prune"]


async def prune(connection: AsyncConnection, *, before: datetime, subscriptions: Sequence[str], limit: int = 5000) -> int:
    """Delete events older than ``before`` and their deliveries, at most ``limit``; gives the number of events.

    An event that still waits for one of ``subscriptions`` (those of the running control plane) stays, however old it is;
    what waits for a subscription that no longer exists does not hold an event back.
    """
    waits = exists().where(
        delivery.c.sequence == event.c.sequence,
        delivery.c.state == DeliveryState.PENDING,
        delivery.c.subscription.in_(subscriptions),
    )
    old = (
        select(event.c.sequence)
        .where(event.c.at < before, event.c.fanned_out.is_(True), ~waits)
        .order_by(event.c.sequence)
        .limit(limit)
    )
    return (await connection.execute(delete(event).where(event.c.sequence.in_(old)))).rowcount
