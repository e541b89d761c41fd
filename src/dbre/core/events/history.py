"""Looking back at events and deliveries, and asking for deliveries to be made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.events.model import Delivery, DeliveryState, Event
from dbre.core.events.rows import DELIVERY_COLUMNS, EVENT_COLUMNS, delivery_of, event_of
from dbre.core.events.tables import delivery, event
from dbre.core.events.tables import subscription as registered
from dbre.core.store.upsert import upsert

__all__ = ["ReplaySelection", "deliveries", "recent", "replay"]


async def recent(
    connection: AsyncConnection,
    limit: int = 100,
    *,
    before: int | None = None,
    kind: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
) -> Sequence[Event]:
    """The newest events first. ``before`` is the sequence to go on from; ``kind`` may end in ``.*``."""
    statement = select(*EVENT_COLUMNS).order_by(event.c.sequence.desc()).limit(limit)
    if before is not None:
        statement = statement.where(event.c.sequence < before)
    if kind is not None:
        statement = statement.where(_has_kind(kind))
    if subject is not None:
        statement = statement.where(event.c.subject == subject)
    if since is not None:
        statement = statement.where(event.c.at >= since)
    return [event_of(row) for row in await connection.execute(statement)]


async def deliveries(
    connection: AsyncConnection,
    limit: int = 100,
    *,
    states: Sequence[DeliveryState] = (),
    failed: bool = False,
    subscription: str | None = None,
) -> Sequence[Delivery]:
    """Deliveries of the newest events first; ``failed`` keeps the dead and those whose last attempt failed."""
    statement = (
        select(*EVENT_COLUMNS, *DELIVERY_COLUMNS)
        .join_from(delivery, event, delivery.c.sequence == event.c.sequence)
        .order_by(delivery.c.sequence.desc(), delivery.c.subscription)
        .limit(limit)
    )
    if states:
        statement = statement.where(delivery.c.state.in_(states))
    if failed:
        statement = statement.where(delivery.c.last_error.is_not(None), delivery.c.state != DeliveryState.DELIVERED)
    if subscription is not None:
        statement = statement.where(delivery.c.subscription == subscription)
    return [delivery_of(row) for row in await connection.execute(statement)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySelection:
    """Which events to deliver again to one subscription; conditions that are given must all hold."""

    ids: tuple[UUID, ...] = ()
    kind: str | None = None  # may end in ".*"
    since: datetime | None = None
    only_dead: bool = False


async def replay(connection: AsyncConnection, subscription: str, selection: ReplaySelection) -> int:
    """Make the deliveries of the selected events to ``subscription`` pending again and give their number.

    Events of kinds that the subscription does not want stay out. Deliveries that do not exist are made, so that a new
    subscription can be given events from before its time. They are delivered in order, oldest first, with fresh attempts.
    """
    conditions: list[ColumnElement[bool]] = []
    kinds = (await connection.execute(select(registered.c.kinds).where(registered.c.name == subscription))).scalar()
    if kinds is not None:
        conditions.append(or_(false(), *map(_has_kind, kinds)))
    if selection.ids:
        conditions.append(event.c.id.in_(selection.ids))
    if selection.kind is not None:
        conditions.append(_has_kind(selection.kind))
    if selection.since is not None:
        conditions.append(event.c.at >= selection.since)
    statement = select(event.c.sequence).where(*conditions)
    if selection.only_dead:
        statement = statement.join(delivery, delivery.c.sequence == event.c.sequence).where(
            delivery.c.subscription == subscription, delivery.c.state == DeliveryState.DEAD
        )
    rows: list[dict[str, Any]] = [
        {
            "subscription": subscription,
            "sequence": sequence,
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "next_attempt_at": None,
            "last_error": None,
            "delivered_at": None,
        }
        for sequence in (await connection.execute(statement)).scalars()
    ]
    await upsert(connection, delivery, rows, keys=["subscription", "sequence"])
    return len(rows)


def _has_kind(kind: str) -> ColumnElement[bool]:
    if kind == "*":
        return true()
    if kind.endswith(".*"):
        return event.c.kind.startswith(kind.removesuffix("*"), autoescape=True)
    return event.c.kind == kind
