"""Which position the log of a cluster had when: samples in the state store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.tables import log_clock
from dbre.core.store.upsert import upsert

__all__ = ["ClockSample", "insert_samples", "list_samples", "thin_samples"]

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSample:
    """At a moment, the log of a server ended at a position."""

    cluster: str
    system_id: str
    at: datetime
    timeline: int
    value: int  # LogPosition.value


async def insert_samples(connection: AsyncConnection, samples: Sequence[ClockSample]) -> None:
    """Write samples; one at the same moment is replaced."""
    rows = [
        {"cluster": one.cluster, "system_id": one.system_id, "at": one.at, "timeline": one.timeline, "value": one.value}
        for one in samples
    ]
    await upsert(connection, log_clock, rows, keys=["cluster", "at"])


async def list_samples(
    connection: AsyncConnection,
    cluster: str,
    *,
    system_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Sequence[ClockSample]:
    """Samples by time; ``until`` is inclusive, ``limit`` keeps the newest."""
    table = log_clock
    statement = select(table).where(table.c.cluster == cluster).order_by(table.c.at.desc())
    if system_id is not None:
        statement = statement.where(table.c.system_id == system_id)
    if since is not None:
        statement = statement.where(table.c.at >= since)
    if until is not None:
        statement = statement.where(table.c.at <= until)
    if limit is not None:
        statement = statement.limit(limit)
    return [
        ClockSample(cluster=row.cluster, system_id=row.system_id, at=row.at, timeline=row.timeline, value=row.value)
        for row in await connection.execute(statement)
    ][::-1]


async def thin_samples(
    connection: AsyncConnection, cluster: str, *, older_than: datetime, every: timedelta, forget_before: datetime | None = None
) -> int:
    """Keep of the samples before ``older_than`` the first of each span of ``every``, and none from before ``forget_before``.

    Returns how many were deleted.
    """
    table, gone = log_clock, 0
    if forget_before is not None:
        statement = delete(table).where(table.c.cluster == cluster, table.c.at < forget_before)
        gone += (await connection.execute(statement)).rowcount
    old = select(table.c.at).where(table.c.cluster == cluster, table.c.at < older_than).order_by(table.c.at)
    seen: set[int] = set()
    doomed: list[datetime] = []
    for at in (await connection.execute(old)).scalars():
        span = int(at.timestamp() // every.total_seconds())
        if span in seen:
            doomed.append(at)
        seen.add(span)
    for start in range(0, len(doomed), _CHUNK):
        chunk = doomed[start : start + _CHUNK]
        gone += (await connection.execute(delete(table).where(table.c.cluster == cluster, table.c.at.in_(chunk)))).rowcount
    return gone
