"""What each SLO counted over a span of time, and what was left of its budget at the end: for reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.slo.correction import intervals_of
from dbre.capabilities.slo.correction_repository import load_corrections
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, instances_of
from dbre.capabilities.slo.reading import report, with_groups
from dbre.capabilities.slo.series import SLOT_SECONDS, slot_at
from dbre.capabilities.slo.slot_repository import find_series, load_slots
from dbre.core.fleet import Fleet
from dbre.core.store import Store

__all__ = ["Compliance", "compliance_between"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """One SLO instance over a span; what corrections leave out is not counted."""

    id: str
    cluster: str
    objective: Decimal
    counts: Counts
    remaining_ratio: Fraction | None  # None: its window holds no valid event


async def compliance_between(
    store: Store, definitions: Sequence[Definition], fleet: Fleet, *, since: datetime, until: datetime
) -> list[Compliance]:
    """Every SLO instance, by its present definition, from the slot of ``since`` up to and without that of ``until``."""
    start, end = slot_at(since), slot_at(until)
    last = until - timedelta(seconds=SLOT_SECONDS)  # a status counts the slot of its moment too
    statuses = {one.id: one for one in await report(store, definitions, fleet, last)}
    async with store.read() as connection:
        instances = await with_groups(connection, definitions, fleet, instances_of(definitions, fleet), until)
        keys = await find_series(connection, instances)
        loaded = await load_slots(connection, {one.id: start for one in keys.values()}, end=end)
        corrections = await load_corrections(connection)
    found = []
    for one in instances:
        series = loaded[keys[one.id].id].series if one.id in keys else None
        corrected = intervals_of(corrections, one)
        if series is not None and corrected:
            series = series.without(corrected)
        status = statuses.get(one.id)
        left = status.budget.remaining_ratio if status is not None and status.counts.total else None
        counts = Counts() if series is None else series.window(start, end)
        cluster, objective = one.cluster.name, one.definition.target
        found.append(Compliance(id=one.id, cluster=cluster, objective=objective, counts=counts, remaining_ratio=left))
    return found
