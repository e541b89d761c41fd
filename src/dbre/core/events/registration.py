"""Who events are delivered to, written down by the control plane for those who look from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.events.model import DeliveryState, Subscription
from dbre.core.events.tables import delivery, event, subscription
from dbre.core.store import Store
from dbre.core.text import closest, printable, quoted

__all__ = ["SubscriptionStatus", "register", "require_subscription", "subscriptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStatus:
    """One subscription and what still waits for it."""

    name: str
    kinds: tuple[str, ...]
    registered_at: datetime  # when the control plane last started with it
    pending_count: int
    dead_count: int
    oldest_pending_at: datetime | None  # when the oldest event that still waits happened; None: nothing waits


async def register(store: Store, wanted: Sequence[Subscription], clock: Clock) -> None:
    """Replace the stored subscriptions by those of this control plane; the records of their deliveries stay."""
    now = clock.now()
    rows = [{"name": one.name, "kinds": list(one.kinds), "registered_at": now} for one in wanted]
    async with store.begin() as connection:
        await connection.execute(delete(subscription).where(subscription.c.name.not_in([one.name for one in wanted])))
        await store.insert_or_update(subscription, rows, keys=["name"], connection=connection)


async def subscriptions(connection: AsyncConnection) -> Sequence[SubscriptionStatus]:
    """The subscriptions of the control plane that runs, or ran last, by name."""
    pending = func.count().filter(delivery.c.state == DeliveryState.PENDING)
    dead = func.count().filter(delivery.c.state == DeliveryState.DEAD)
    oldest = func.min(event.c.at).filter(delivery.c.state == DeliveryState.PENDING)
    statement = (
        select(
            subscription.c.name,
            subscription.c.kinds,
            subscription.c.registered_at,
            pending.label("pending_count"),
            dead.label("dead_count"),
            oldest.label("oldest_pending_at"),
        )
        .join_from(subscription, delivery, delivery.c.subscription == subscription.c.name, isouter=True)
        .join(event, event.c.sequence == delivery.c.sequence, isouter=True)
        .group_by(subscription.c.name, subscription.c.kinds, subscription.c.registered_at)
        .order_by(subscription.c.name)
    )
    return [
        SubscriptionStatus(
            name=row.name,
            kinds=tuple(row.kinds),
            registered_at=row.registered_at,
            pending_count=row.pending_count,
            dead_count=row.dead_count,
            oldest_pending_at=row.oldest_pending_at,
        )
        for row in await connection.execute(statement)
    ]


async def require_subscription(connection: AsyncConnection, name: str) -> None:
    """Let only the name of a registered subscription pass. Raises: UsageError with the nearest name."""
    known = (await connection.execute(select(subscription.c.name).order_by(subscription.c.name))).scalars().all()
    if name in known:
        return
    near = closest(name, known)
    listed = printable(", ".join(known), limit=200) or "none; a control plane registers them when it starts"
    raise UsageError(
        f"there is no subscription {quoted(name, limit=100)}",
        hint=f"did you mean {printable(near)}?" if near else f"known: {listed}",
    )
