"""What was delivered, and what is held, in the state store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.delivery.stored_notice import notice_document, notice_from
from dbre.capabilities.incident.delivery.tables import held_notices, notice_deliveries
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.core.clock import Clock
from dbre.core.events import EventLog
from dbre.core.store import Store
from dbre.core.store.upsert import upsert

__all__ = [
    "HeldNotice",
    "due_holds",
    "hold",
    "is_delivered",
    "newest_receipt",
    "prune_deliveries",
    "record_delivery",
    "take_held",
]

DELIVERED = "notice.delivered"
"""Kind of the event that says that a channel took a notice; its thread is the incident."""
_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNotice:
    """A notice that waits, and why: ``quiet`` or ``storm``."""

    channel: str
    notice: Notice
    due_at: datetime
    reason: str


async def is_delivered(connection: AsyncConnection, channel: str, notice_id: str) -> bool:
    """Whether a channel has taken a notice, or holds it."""
    for table in (notice_deliveries, held_notices):
        statement = select(table.c.notice_id).where(table.c.channel == channel, table.c.notice_id == notice_id)
        if (await connection.execute(statement)).first() is not None:
            return True
    return False


async def newest_receipt(connection: AsyncConnection, channel: str, thread: str) -> Receipt | None:
    """What a channel remembers of a thread."""
    table = notice_deliveries
    statement = (
        select(table.c.reference)
        .where(table.c.channel == channel, table.c.thread == thread, table.c.reference.is_not(None))
        .order_by(table.c.delivered_at.desc(), table.c.notice_id.desc())
        .limit(1)
    )
    reference = (await connection.execute(statement)).scalar()
    return None if reference is None else Receipt(reference=reference)


async def record_delivery(store: Store, channel: str, notice: Notice, receipt: Receipt | None, *, clock: Clock) -> None:
    """Write down that a channel has a notice, with the event ``notice.delivered``, which timelines show."""
    row = {
        "channel": channel,
        "notice_id": notice.id,
        "thread": notice.thread,
        "reference": None if receipt is None else receipt.reference,
        "delivered_at": clock.now(),
    }
    told = {"channel": channel, "thread": notice.thread, "notice_id": notice.id, "notice_kind": notice.kind.value}
    async with store.begin() as connection:
        await upsert(connection, notice_deliveries, [row], keys=["channel", "notice_id"])
        await EventLog(clock).emit(connection, kind=DELIVERED, subject=channel, data=told)


async def hold(store: Store, held: HeldNotice) -> None:
    """Keep a notice for later."""
    row = {
        "channel": held.channel,
        "notice_id": held.notice.id,
        "due_at": held.due_at,
        "reason": held.reason,
        "document": notice_document(held.notice),
    }
    await store.insert_or_update(held_notices, [row], keys=["channel", "notice_id"])


async def due_holds(connection: AsyncConnection, now: datetime) -> Sequence[tuple[str, str]]:
    """Channels and reasons for which something held is due."""
    statement = select(held_notices.c.channel, held_notices.c.reason).where(held_notices.c.due_at <= now).distinct()
    return [(row.channel, row.reason) for row in await connection.execute(statement)]


async def take_held(connection: AsyncConnection, channel: str, reason: str, *, now: datetime) -> tuple[Notice, ...]:
    """Everything that a channel holds for a reason, in the order of its happening; it counts as delivered."""
    chosen = (held_notices.c.channel == channel, held_notices.c.reason == reason)
    rows = (await connection.execute(select(held_notices.c.document).where(*chosen))).all()
    await connection.execute(delete(held_notices).where(*chosen))
    found = tuple(sorted((notice_from(row.document) for row in rows), key=lambda one: (one.at, one.id)))
    told = [
        {"channel": channel, "notice_id": one.id, "thread": one.thread, "reference": None, "delivered_at": now} for one in found
    ]
    await upsert(connection, notice_deliveries, told, keys=["channel", "notice_id"])
    return found


async def prune_deliveries(store: Store, *, now: datetime) -> int:
    """Forget what was delivered a quarter of a year ago."""
    async with store.begin() as connection:
        old = delete(notice_deliveries).where(notice_deliveries.c.delivered_at < now - _KEPT)
        return (await connection.execute(old)).rowcount
