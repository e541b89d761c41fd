"""From events to deliveries: one row for each subscription that wants the event, made once, in one transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.events.model import DeliveryState, Subscription
from dbre.core.events.tables import NOT_FANNED_OUT, delivery, event
from dbre.core.store import Store

__all__ = ["fan_out", "has_new_events"]

_BATCH = 500


async def has_new_events(store: Store) -> bool:
    """Whether some event has not been fanned out; a read, so that an idle control plane takes no write lock."""
    async with store.read() as connection:
        statement = select(event.c.sequence).where(NOT_FANNED_OUT).limit(1)
        return (await connection.execute(statement)).first() is not None


async def fan_out(store: Store, subscriptions: Sequence[Subscription]) -> frozenset[str]:
    """Make the deliveries of all new events for these subscriptions; gives the names of those that got some.

    A subscription that appears later gets the events from then on, and older ones by ``replay``.
    """
    touched: set[str] = set()
    while True:
        async with store.begin() as connection:
            count, names = await _fan_out_batch(store, connection, subscriptions)
        touched |= names
        if count < _BATCH:
            return frozenset(touched)


async def _fan_out_batch(
    store: Store, connection: AsyncConnection, subscriptions: Sequence[Subscription]
) -> tuple[int, set[str]]:
    statement = select(event.c.sequence, event.c.kind).where(NOT_FANNED_OUT).order_by(event.c.sequence).limit(_BATCH)
    new = (await connection.execute(statement)).all()
    rows: list[dict[str, Any]] = [
        {"subscription": one.name, "sequence": row.sequence, "state": DeliveryState.PENDING, "attempts": 0}
        for row in new
        for one in subscriptions
        if one.wants(row.kind)
    ]
    await store.insert_or_update(delivery, rows, keys=["subscription", "sequence"], connection=connection)
    if new:
        done = update(event).where(event.c.sequence.in_([row.sequence for row in new])).values(fanned_out=True)
        await connection.execute(done)
    return len(new), {row["subscription"] for row in rows}
