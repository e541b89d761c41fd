"""The newest batches of counts, in the order of their commits: who kept what it read adds them, and need not read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import Run
from dbre.capabilities.slo.tables import slo_batches

__all__ = ["BEGINNING", "KEPT_BATCHES", "Batch", "Place", "batches_from", "newest_place", "note_batch"]

KEPT_BATCHES = 900
"""A quarter of an hour at one a second: who looks less often reads everything again."""

_MAX_RUNS = 20_000  # about a megabyte; more come only after hours without the store


@dataclass(frozen=True, slots=True)
class Place:
    """Up to which batch, that one included, somebody has read; the same position may be another batch after a restore."""

    position: int
    writer: str
    sequence: int


BEGINNING = Place(0, "", 0)
"""Before the first batch of all."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction added to the slots, by series; None: too much to tell."""

    place: Place
    runs: Mapping[int, Sequence[Run]] | None


async def note_batch(connection: AsyncConnection, *, writer: str, sequence: int, runs: Sequence[tuple[int, Run]]) -> None:
    """Tell of a batch in the transaction that adds it to the slots; a store has one writer at a time, so there is no gap."""
    position = (await newest_place(connection)).position + 1
    told: dict[str, list[list[int]]] = {}
    for series_id, run in runs:
        counts = run.counts
        one = [run.start, run.length, counts.good, counts.bad, counts.missed, counts.excluded]
        told.setdefault(str(series_id), []).append(one)
    row = {"position": position, "writer": writer, "sequence": sequence, "runs": told if len(runs) <= _MAX_RUNS else None}
    await connection.execute(slo_batches.insert(), [row])
    await connection.execute(delete(slo_batches).where(slo_batches.c.position <= position - KEPT_BATCHES))


async def newest_place(connection: AsyncConnection) -> Place:
    """Where the batches are at now; the beginning where there is none yet."""
    columns = (slo_batches.c.position, slo_batches.c.writer, slo_batches.c.sequence)
    row = (await connection.execute(select(*columns).order_by(slo_batches.c.position.desc()).limit(1))).first()
    return BEGINNING if row is None else Place(row.position, row.writer, row.sequence)


async def batches_from(connection: AsyncConnection, position: int, *, series: frozenset[int]) -> tuple[Batch, ...]:
    """The batches from a position on, that one included, with the runs of some series; without a gap, or else none."""
    statement = select(slo_batches).where(slo_batches.c.position >= position).order_by(slo_batches.c.position)
    rows = (await connection.execute(statement)).all()
    if position and (not rows or rows[0].position != position):
        return ()
    return tuple(Batch(Place(row.position, row.writer, row.sequence), _runs(row.runs, series)) for row in rows)


def _runs(told: Mapping[str, Sequence[Sequence[int]]] | None, series: frozenset[int]) -> Mapping[int, Sequence[Run]] | None:
    if told is None:
        return None
    return {
        number: [Run(start, length, Counts(*counts)) for start, length, *counts in runs]
        for name, runs in told.items()
        if (number := int(name)) in series
    }
