"""What an SLO promised before: the budget that was spent under an earlier version stays spent as that version counted it."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.look_back import look_back_slots
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.capabilities.slo.slot_repository import load_slots
from dbre.capabilities.slo.tables import slo_definitions, slo_series

__all__ = ["NO_HISTORY", "History", "Version", "load_histories", "with_old_series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An earlier version, for the slots ``[start_slot, end_slot)``; ``series`` None: it counted what is counted now."""

    start_slot: int
    end_slot: int
    target: Decimal
    sli_hash: str
    series: SlotSeries | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The earlier versions of one SLO, the oldest first, and since when there is one at all."""

    since_slot: int | None = None
    earlier: tuple[Version, ...] = ()


NO_HISTORY = History()


async def load_histories(connection: AsyncConnection, definitions: Sequence[Definition]) -> dict[str, History]:
    """The versions of each SLO that came before the present one; those that counted slices of time are left out."""
    wanted = {one.name: one for one in definitions}
    found = defaultdict[str, list[tuple[datetime, Mapping[str, object]]]](list)
    columns = slo_definitions.c
    for row in await connection.execute(select(slo_definitions).order_by(columns.slo, columns.effective_from)):
        if row.slo in wanted:
            found[row.slo].append((row.effective_from, row.document))
    return {name: _history(versions) for name, versions in found.items()}


def _history(versions: Sequence[tuple[datetime, Mapping[str, object]]]) -> History:
    starts = [slot_at(moment) for moment, _ in versions]
    earlier = tuple(
        Version(
            start_slot=start,
            end_slot=end,
            target=Decimal(str(document["target"])),
            sli_hash=hashlib.sha256(json.dumps(document["sli"], sort_keys=True).encode()).hexdigest()[:16],
        )
        for start, end, (_, document) in zip(starts, starts[1:], versions, strict=False)
        if "slices" not in document and start < end
    )
    return History(since_slot=starts[0], earlier=earlier)


async def with_old_series(
    connection: AsyncConnection, instance: SloInstance, history: History, now: datetime
) -> tuple[Version, ...]:
    """The versions within reach of an instance's window, with the slots of those that counted something else."""
    oldest = slot_at(now) - 2 * look_back_slots(instance)
    found = []
    for one in history.earlier:
        if one.end_slot <= oldest or instance.definition.slices is not None:
            continue
        if one.sli_hash == instance.definition.sli.hash:
            found.append(one)
            continue
        series = await _series(connection, instance, one, oldest)
        found.append(
            Version(start_slot=one.start_slot, end_slot=one.end_slot, target=one.target, sli_hash=one.sli_hash, series=series)
        )
    return tuple(found)


async def _series(connection: AsyncConnection, instance: SloInstance, version: Version, oldest: int) -> SlotSeries:
    columns = slo_series.c
    condition = (columns.slo == instance.definition.name) & (columns.cluster == instance.cluster.name)
    condition &= (columns.group_key == instance.group) & (columns.sli_hash == version.sli_hash)
    number = (await connection.execute(select(columns.id).where(condition))).scalar()
    if number is None:
        return SlotSeries()
    loaded = await load_slots(connection, {number: max(oldest, version.start_slot)}, end=version.end_slot)
    return loaded[number].series
