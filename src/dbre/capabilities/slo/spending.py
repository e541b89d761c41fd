"""What SLOs counted between two moments, and when it began to go wrong: for incidents, from the stored slots."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from dbre.capabilities.slo.definition import Definition, SloInstance, instances_of
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.capabilities.slo.reading import LOST_AFTER, find_instance, report, with_groups
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slot_repository import find_series, load_slots
from dbre.core.fleet import Fleet
from dbre.core.store import Store

__all__ = ["BudgetSpent", "bad_since", "began_to_burn", "spent_between"]

_CALM_SLOTS = 300 // SLOT_SECONDS  # without a bad event for so long, what was before is another story
_SHORTEST = timedelta(hours=1)
_LONGEST = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent:
    """What one instance counted between two moments."""

    instance: str
    good: int
    bad: int
    consumed: Fraction | None  # bad events of what the whole window allows; None: it allows none


def bad_since(series: SlotSeries, end: int) -> int | None:
    """The slot in which the newest unbroken story of bad events before ``end`` began; five calm minutes break it.

    >>> from dbre.capabilities.slo.counts import Counts
    >>> series = SlotSeries()
    >>> for slot, bad in ((10, 1), (100, 1), (110, 1), (111, 1)): series.add(slot, Counts(good=1, bad=bad))
    >>> bad_since(series, 115)
    100
    """
    found: int | None = None
    for run in reversed(list(series.runs(end=end))):
        if not run.counts.bad:
            continue
        if found is not None and found - run.end >= _CALM_SLOTS:
            break
        found = run.start
    return found


async def began_to_burn(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    *,
    slo: str,
    cluster: str,
    group: str,
    fired_at: datetime,
    window_seconds: int,
) -> datetime | None:
    """When the bad events began that made an alert fire; None where none are stored, or the SLO is not configured any more."""
    try:
        instance = find_instance(definitions, fleet, slo=slo, cluster=cluster, group=group)
    except UnknownSlo:
        return None
    end = slot_at(fired_at) + 1
    reach = min(max(timedelta(seconds=window_seconds), _SHORTEST), _LONGEST)
    series = (await _load(store, [instance], start=slot_at(fired_at - reach), end=end)).get(instance.id)
    slot = bad_since(series, end) if series is not None else None
    return None if slot is None else slot_start(slot)


async def spent_between(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    *,
    clusters: Collection[str],
    since: datetime,
    until: datetime,
    lost_after: timedelta = LOST_AFTER,
) -> Sequence[BudgetSpent]:
    """What each SLO instance of some clusters counted, by name; those that counted nothing bad are left out."""
    wanted = [one for one in definitions if any(c.name in clusters for c in fleet.select(one.selector))]
    if not wanted or until <= since:
        return ()
    bases = [one for one in instances_of(wanted, fleet) if one.cluster.name in clusters]
    async with store.read() as connection:
        instances = await with_groups(connection, wanted, fleet, bases, until)
    start, end = slot_at(since), slot_at(until) + 1
    loaded = await _load(store, [one for one in instances if one.cluster.name in clusters], start=start, end=end)
    allowed = {one.id: one.budget.allowed_bad for one in await report(store, wanted, fleet, until, lost_after=lost_after)}
    found = []
    for name, series in sorted(loaded.items()):
        counts = series.window(start, end)
        if counts.bad:
            share = Fraction(counts.bad) / allowed[name] if allowed.get(name) else None
            found.append(BudgetSpent(instance=name, good=counts.good, bad=counts.bad, consumed=share))
    return found


async def _load(store: Store, instances: Sequence[SloInstance], *, start: int, end: int) -> dict[str, SlotSeries]:
    async with store.read() as connection:
        keys = await find_series(connection, instances)
        loaded = await load_slots(connection, {key.id: start for key in keys.values()}, end=end)
    return {name: loaded[key.id].series for name, key in keys.items()}
