"""Histograms of durations in the state store: minutes at first, hours after two days, then nothing."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.ingest.histogram import LatencyHistogram
from dbre.capabilities.slo.ingest.tables import slo_latencies
from dbre.capabilities.slo.tables import slo_source_marks
from dbre.core.store import Store

__all__ = [
    "LatencyKey",
    "forget_latencies",
    "read_latency",
    "read_mark",
    "roll_up_oldest_hour",
    "write_latencies",
    "write_mark",
]

LatencyKey = tuple[str, str, str, int]
"""SLO, cluster, group, minute since 1970."""
_HOUR = 60
_CHUNK = 200
_KEYS = ("slo", "cluster", "group_key", "minute", "length")


async def read_mark(connection: AsyncConnection, source: str) -> str | None:
    """How far a source has been counted."""
    found = await connection.execute(select(slo_source_marks.c.position).where(slo_source_marks.c.source == source))
    return found.scalar_one_or_none()


async def write_mark(connection: AsyncConnection, store: Store, source: str, position: str, *, now: datetime) -> None:
    """Note it, in the transaction of what was counted."""
    row = {"source": source, "position": position, "marked_at": now}
    await store.insert_or_update(slo_source_marks, [row], keys=("source",), connection=connection)


async def write_latencies(
    connection: AsyncConnection, store: Store, found: Mapping[LatencyKey, LatencyHistogram], *, length: int = 1
) -> None:
    """Add histograms to those that are there; ``found`` is not changed."""
    table, keys = slo_latencies.c, list(found)
    columns = tuple_(table.slo, table.cluster, table.group_key, table.minute)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        there = await connection.execute(select(slo_latencies).where(columns.in_(chunk), table.length == length))
        stored = {(row.slo, row.cluster, row.group_key, row.minute): row.histogram for row in there}
        rows = []
        for key in chunk:
            merged = LatencyHistogram.from_blob(stored[key]) if key in stored else LatencyHistogram()
            merged.merge(found[key])
            identity = dict(zip(_KEYS, (*key, length), strict=True))
            rows.append({**identity, "total": merged.total, "histogram": merged.as_blob()})
        await store.insert_or_update(slo_latencies, rows, keys=_KEYS, connection=connection)


async def read_latency(
    connection: AsyncConnection, *, slo: str, cluster: str, group: str | None = None, since_minute: int, end_minute: int
) -> LatencyHistogram:
    """The durations of an SLO between two minutes; ``group`` None: of all groups together."""
    table = slo_latencies.c
    chosen = select(table.histogram).where(table.slo == slo, table.cluster == cluster)
    chosen = chosen.where(table.minute > since_minute - table.length, table.minute < end_minute)
    if group is not None:
        chosen = chosen.where(table.group_key == group)
    histogram = LatencyHistogram()
    for row in await connection.execute(chosen):
        histogram.merge(LatencyHistogram.from_blob(row.histogram))
    return histogram


async def roll_up_oldest_hour(connection: AsyncConnection, store: Store, *, before_minute: int) -> bool:
    """Make the minutes of the oldest hour that lies before a minute into one row; False: there is none."""
    table = slo_latencies.c
    is_old = (table.length == 1) & (table.minute < before_minute // _HOUR * _HOUR)
    oldest = (await connection.execute(select(func.min(table.minute)).where(is_old))).scalar_one()
    if oldest is None:
        return False
    start = oldest // _HOUR * _HOUR
    is_chosen = is_old & (table.minute < start + _HOUR)
    hours: dict[LatencyKey, LatencyHistogram] = defaultdict(LatencyHistogram)
    for row in await connection.execute(select(slo_latencies).where(is_chosen)):
        hours[row.slo, row.cluster, row.group_key, start].merge(LatencyHistogram.from_blob(row.histogram))
    await write_latencies(connection, store, hours, length=_HOUR)
    await connection.execute(delete(slo_latencies).where(is_chosen))
    return True


async def forget_latencies(connection: AsyncConnection, *, before_minute: int) -> None:
    """Delete what ended before a minute."""
    await connection.execute(delete(slo_latencies).where(slo_latencies.c.minute < before_minute - slo_latencies.c.length))
