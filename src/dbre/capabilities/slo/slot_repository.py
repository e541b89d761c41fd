"""Slots, series and definitions in the state store."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import and_, delete, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.batch_repository import note_batch
from dbre.capabilities.slo.coarsening import coarsened
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.look_back import look_back_slots
from dbre.capabilities.slo.series import Run, SlotSeries, slot_at
from dbre.capabilities.slo.tables import slo_definitions, slo_flushes, slo_heard, slo_series, slo_slots, slo_source_marks
from dbre.core.store import Store

__all__ = [
    "MAX_RUN_SLOTS",
    "LoadedSeries",
    "SeriesKey",
    "compact",
    "definition_starts",
    "find_series",
    "forget_slots",
    "forget_writers",
    "load_heard",
    "load_marks",
    "load_slots",
    "register_definitions",
    "register_series",
    "stored_groups",
    "write_batch",
    "write_heard",
]

MAX_RUN_SLOTS = 8_640  # a day: a reader finds every row that reaches into its window without looking further back
NO_MARKS: Mapping[str, str] = MappingProxyType({})
_CHUNK = 500
_YIELD_EVERY = 500  # rows between two turns of the event loop
_COUNTED = ("good", "bad", "total", "missed", "excluded")


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """A row of ``slo_series``."""

    id: int
    interval_ms: int


@dataclass(slots=True)
class LoadedSeries:
    """The slots of one series, without those whose counts contradict each other."""

    series: SlotSeries = field(default_factory=SlotSeries)
    corrupt_slots: int = 0


def _identity(instance: SloInstance) -> tuple[str, str, str, str]:
    return instance.definition.name, instance.cluster.name, instance.group, instance.definition.sli.hash


async def find_series(connection: AsyncConnection, instances: Sequence[SloInstance]) -> dict[str, SeriesKey]:
    """The series of those instances that have one, by their id."""
    found: dict[str, SeriesKey] = {}
    columns = tuple_(slo_series.c.slo, slo_series.c.cluster, slo_series.c.group_key, slo_series.c.sli_hash)
    for start in range(0, len(instances), _CHUNK):
        by_identity = {_identity(one): one.id for one in instances[start : start + _CHUNK]}
        rows = await connection.execute(select(slo_series).where(columns.in_(list(by_identity))))
        for row in rows:
            found[by_identity[(row.slo, row.cluster, row.group_key, row.sli_hash)]] = SeriesKey(row.id, row.interval_ms)
    return found


async def register_series(
    connection: AsyncConnection, store: Store, instances: Sequence[SloInstance], *, interval_ms: int, now: datetime
) -> dict[str, SeriesKey]:
    """The series of all instances, made where they do not exist; the interval is brought up to date.

    ``interval_ms`` is that of the probes; other sources have their own.
    """
    existing = await find_series(connection, instances)
    rows = [
        {
            "slo": one.definition.name,
            "cluster": one.cluster.name,
            "group_key": one.group,
            "sli_hash": one.definition.sli.hash,
            "interval_ms": one.definition.sli.interval_ms(interval_ms),
            "created_at": now,
        }
        for one in instances
        if one.id not in existing
    ]
    keys = ("slo", "cluster", "group_key", "sli_hash")
    await store.insert_or_update(slo_series, rows, keys=keys, connection=connection)
    changed = defaultdict[int, list[int]](list)
    for one in instances:
        wanted, key = one.definition.sli.interval_ms(interval_ms), existing.get(one.id)
        if key is not None and key.interval_ms != wanted:
            changed[wanted].append(key.id)
    for wanted, numbers in changed.items():
        for start in range(0, len(numbers), _CHUNK):
            statement = slo_series.update().where(slo_series.c.id.in_(numbers[start : start + _CHUNK]))
            await connection.execute(statement.values(interval_ms=wanted))
    return await find_series(connection, instances)


async def stored_groups(connection: AsyncConnection, instances: Sequence[SloInstance], *, now: datetime) -> list[SloInstance]:
    """The groups of grouped SLOs that have a slot within reach of their windows, in the order of their names.

    ``instances`` are those without a group; a group that was last counted before that is as if it had never been.
    """
    found: list[SloInstance] = []
    for one in instances:
        if not one.definition.sli.is_grouped:
            continue
        oldest = slot_at(now) - look_back_slots(one) - MAX_RUN_SLOTS
        series = slo_series.c
        is_own = (series.slo == one.definition.name) & (series.cluster == one.cluster.name)
        is_own &= (series.sli_hash == one.definition.sli.hash) & (series.group_key != "")
        is_alive = exists().where(slo_slots.c.series_id == series.id, slo_slots.c.slot >= oldest)
        rows = await connection.execute(select(series.group_key).where(is_own, is_alive).order_by(series.group_key))
        found += [replace(one, group=row.group_key) for row in rows]
    return found


async def load_marks(connection: AsyncConnection) -> dict[str, str]:
    """How far each source has been counted."""
    return {row.source: row.position for row in await connection.execute(select(slo_source_marks))}


async def write_heard(connection: AsyncConnection, store: Store, heard: Mapping[tuple[str, str], datetime]) -> None:
    """Note when the sources of SLOs were last alive."""
    rows = [{"slo": slo, "cluster": cluster, "heard_at": moment} for (slo, cluster), moment in heard.items()]
    await store.insert_or_update(slo_heard, rows, keys=("slo", "cluster"), connection=connection)


async def load_heard(connection: AsyncConnection) -> dict[tuple[str, str], datetime]:
    """When the source of each SLO and cluster was last alive."""
    return {(row.slo, row.cluster): row.heard_at for row in await connection.execute(select(slo_heard))}


async def definition_starts(connection: AsyncConnection) -> dict[str, tuple[str, datetime]]:
    """Hash and beginning of the present version of each SLO."""
    newest = (
        select(slo_definitions.c.slo, func.max(slo_definitions.c.effective_from).label("effective_from"))
        .group_by(slo_definitions.c.slo)
        .subquery()
    )
    rows = await connection.execute(
        select(slo_definitions.c.slo, slo_definitions.c.definition_hash, slo_definitions.c.effective_from).join(
            newest,
            and_(slo_definitions.c.slo == newest.c.slo, slo_definitions.c.effective_from == newest.c.effective_from),
        )
    )
    return {row.slo: (row.definition_hash, row.effective_from) for row in rows}


async def register_definitions(
    connection: AsyncConnection, definitions: Sequence[Definition], *, now: datetime
) -> dict[str, datetime]:
    """Store a new version of each definition that changed; since when each one holds."""
    known = await definition_starts(connection)
    since: dict[str, datetime] = {}
    for definition in definitions:
        digest, started = known.get(definition.name, (None, now))
        if digest == definition.hash:
            since[definition.name] = started
            continue
        # A version never begins before its predecessor, whatever the wall clock did.
        begins = now if digest is None else max(now, started + timedelta(microseconds=1))
        await connection.execute(
            slo_definitions.insert().values(
                slo=definition.name,
                definition_hash=definition.hash,
                document=definition.as_document(),
                effective_from=begins,
            )
        )
        since[definition.name] = begins
    return since


async def load_slots(connection: AsyncConnection, since: Mapping[int, int], *, end: int) -> dict[int, LoadedSeries]:
    """The slots of each series from the slot that ``since`` gives for it, up to ``end`` (exclusive)."""
    loaded = {series_id: LoadedSeries() for series_id in since}
    for series_id, start in since.items():
        rows = await connection.execute(
            select(slo_slots)
            .where(
                slo_slots.c.series_id == series_id,
                slo_slots.c.slot >= start - MAX_RUN_SLOTS,
                slo_slots.c.slot < end,
            )
            .order_by(slo_slots.c.slot, slo_slots.c.length)
        )
        target = loaded[series_id]
        for index, row in enumerate(rows):
            if index % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # a month of slots that differ is a second of work, and the prober keeps a schedule
            low, high = max(row.slot, start), min(row.slot + row.length, end)
            if low >= high:
                continue
            if not _is_sound(row.good, row.bad, row.total, row.missed, row.excluded):
                target.corrupt_slots += high - low
                continue
            target.series.add(low, Counts(row.good, row.bad, row.missed, row.excluded), length=high - low)
    return loaded


def _is_sound(good: int, bad: int, total: int, missed: int, excluded: int) -> bool:
    """The invariant of a slot; a row that breaks it is reported, never repaired by guessing."""
    return min(good, bad, missed, excluded) >= 0 and good + bad == total


async def write_batch(
    connection: AsyncConnection,
    store: Store,
    *,
    writer: str,
    sequence: int,
    runs: Sequence[tuple[int, Run]],
    now: datetime,
    marks: Mapping[str, str] = NO_MARKS,
) -> bool:
    """Add a batch of (series, run), and how far it brings its sources, unless it is there already; whether it was new.

    The writer numbers its batches. A batch whose commit failed with an unknown outcome is handed in again under the same
    number, and counts once.
    """
    row = (await connection.execute(select(slo_flushes.c.sequence).where(slo_flushes.c.writer == writer))).first()
    if row is not None and row.sequence >= sequence:
        return False
    rows = [_as_row(series_id, piece) for series_id, run in runs for piece in _by_day(run)]
    await store.insert_or_update(slo_slots, rows, keys=("series_id", "slot", "length"), add=_COUNTED, connection=connection)
    marker = {"writer": writer, "sequence": sequence, "flushed_at": now}
    await store.insert_or_update(slo_flushes, [marker], keys=("writer",), connection=connection)
    positions = [{"source": source, "position": position, "marked_at": now} for source, position in marks.items()]
    await store.insert_or_update(slo_source_marks, positions, keys=("source",), connection=connection)
    await note_batch(connection, writer=writer, sequence=sequence, runs=runs)
    return True


def _by_day(run: Run) -> list[Run]:
    pieces, at = [], run.start
    while at < run.end:
        stop = min(run.end, (at // MAX_RUN_SLOTS + 1) * MAX_RUN_SLOTS)
        pieces.append(Run(at, stop - at, run.counts))
        at = stop
    return pieces


def _as_row(series_id: int, run: Run) -> dict[str, int]:
    return {
        "series_id": series_id,
        "slot": run.start,
        "length": run.length,
        "good": run.counts.good,
        "bad": run.counts.bad,
        "total": run.counts.total,
        "missed": run.counts.missed,
        "excluded": run.counts.excluded,
    }


async def compact(connection: AsyncConnection, store: Store, series_id: int, *, start: int, end: int, width: int = 1) -> int:
    """Write the slots ``[start, end)`` of a series, which lie within one day, as runs; how many rows that saved.

    With ``width`` the counts of so many slots are put together (``coarsening``); both ends are whole multiples of it.

    Does nothing where a row is damaged, so that the evidence stays.
    """
    where = and_(
        slo_slots.c.series_id == series_id,
        slo_slots.c.slot >= start,
        slo_slots.c.slot + slo_slots.c.length <= end,
    )
    series, count = SlotSeries(), 0
    for row in await connection.execute(select(slo_slots).where(where)):
        if not _is_sound(row.good, row.bad, row.total, row.missed, row.excluded):
            return 0
        series.add(row.slot, Counts(row.good, row.bad, row.missed, row.excluded), length=row.length)
        count += 1
    if width > 1:
        series = coarsened(series.runs(), width)
    if count == len(series):
        return 0
    await connection.execute(delete(slo_slots).where(where))
    rows = [_as_row(series_id, run) for run in series.runs()]
    await store.insert_or_update(slo_slots, rows, keys=("series_id", "slot", "length"), add=_COUNTED, connection=connection)
    return count - len(rows)


async def forget_slots(connection: AsyncConnection, series_id: int, *, before: int) -> None:
    """Delete the rows of a series that end at or before a slot."""
    await connection.execute(
        delete(slo_slots).where(
            slo_slots.c.series_id == series_id, slo_slots.c.slot < before, slo_slots.c.slot + slo_slots.c.length <= before
        )
    )


async def forget_writers(connection: AsyncConnection, *, before: datetime) -> None:
    """Delete the batch numbers of processes that are long gone."""
    await connection.execute(delete(slo_flushes).where(slo_flushes.c.flushed_at < before))
