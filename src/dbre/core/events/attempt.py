"""One attempt to deliver one event: what is due, and how its outcome is written down."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from dbre.core.clock import Clock
from dbre.core.events.log import EventLog
from dbre.core.events.model import DELIVERY_DEAD, Delivery, DeliveryState
from dbre.core.events.rows import DELIVERY_COLUMNS, EVENT_COLUMNS, delivery_of
from dbre.core.events.tables import delivery, event
from dbre.core.store import Store

__all__ = ["Attempt", "next_pending", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The outcome of calling a handler once."""

    delivery: Delivery
    attempts: int  # with this one
    error: str | None  # None: delivered
    wait_seconds: float | None  # until the next attempt; None: there is none

    @property
    def outcome(self) -> str:
        """``delivered``, ``failed`` (it is tried again) or ``dead``."""
        if self.error is None:
            return "delivered"
        return "dead" if self.wait_seconds is None else "failed"


async def next_pending(store: Store, subscription: str) -> Delivery | None:
    """The oldest pending delivery of a subscription, due or not: the ones behind it wait, for order is kept."""
    statement = (
        select(*EVENT_COLUMNS, *DELIVERY_COLUMNS)
        .join_from(delivery, event, delivery.c.sequence == event.c.sequence)
        .where(delivery.c.subscription == subscription, delivery.c.state == DeliveryState.PENDING)
        .order_by(delivery.c.sequence)
        .limit(1)
    )
    async with store.read() as connection:
        row = (await connection.execute(statement)).first()
    return None if row is None else delivery_of(row)


async def record(store: Store, attempt: Attempt, clock: Clock) -> None:
    """Write the outcome down, and with the last failure an event that tells of it."""
    now = clock.now()
    event_ = attempt.delivery.event
    is_dead = attempt.error is not None and attempt.wait_seconds is None
    values = {
        "attempts": attempt.attempts,
        "last_error": attempt.error,
        "state": DeliveryState.DEAD if is_dead else DeliveryState.PENDING if attempt.error else DeliveryState.DELIVERED,
        "next_attempt_at": None if attempt.wait_seconds is None else now + timedelta(seconds=attempt.wait_seconds),
        "delivered_at": None if attempt.error else now,
    }
    statement = (
        update(delivery)
        .where(
            delivery.c.subscription == attempt.delivery.subscription,
            delivery.c.sequence == event_.sequence,
            delivery.c.state == DeliveryState.PENDING,
        )
        .values(values)
    )
    async with store.begin() as connection:
        written = await connection.execute(statement)
        # An event about a dead event about a dead event would never end where the receiver of all events is the dead one.
        if is_dead and written.rowcount and event_.kind != DELIVERY_DEAD:
            await EventLog(clock).emit(
                connection,
                kind=DELIVERY_DEAD,
                subject=attempt.delivery.subscription,
                data={
                    "event_id": str(event_.id),
                    "event_kind": event_.kind,
                    "event_subject": event_.subject,
                    "attempts": attempt.attempts,
                    "last_error": attempt.error,
                },
            )
